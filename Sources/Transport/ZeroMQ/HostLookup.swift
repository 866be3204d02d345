import Dispatch
import Glibc

/// Asks once whether the name in an address is known: libzmq tries an unknown one for ever, without a word.
package enum HostLookup {
  /// Returns at once.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT`.
  ///   - onUnknown: called on another thread, with what to tell a person, when the name is not known; it may be later.
  package static func check(_ endpoint: String, onUnknown: @escaping @Sendable (String) -> Void) {
    let host = EndpointAddress.host(of: endpoint).filter { $0 != "[" && $0 != "]" }
    DispatchQueue.global(qos: .utility).async {
      var addresses: UnsafeMutablePointer<addrinfo>?
      let code = getaddrinfo(host, nil, nil, &addresses)
      if let addresses { freeaddrinfo(addresses) }
      guard code != 0 else { return }
      onUnknown("the host name '\(host)' is not known here (\(String(cString: gai_strerror(code))))")
    }
  }
}
