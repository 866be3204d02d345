import Foundation
import Testing

/// A server of another kind: it says something that is not ZeroMQ to whoever connects, and hangs up.
final class Listener {
  let endpoint: String
  private let descriptor: Int32

  init() throws {
    endpoint = Site.unusedEndpoint()
    let port = try #require(UInt16(endpoint.split(separator: ":").last ?? ""))
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.descriptor = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isBound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    try #require(isBound && listen(descriptor, 8) == 0)
    Thread {
      while true {
        let peer = accept(descriptor, nil, nil)
        guard peer >= 0 else { return }
        let text = Array("220 mail.example.org ESMTP ready, please say HELO before anything else\r\n".utf8)
        _ = send(peer, text, text.count, Int32(MSG_NOSIGNAL))
        close(peer)
      }
    }.start()
  }

  deinit {
    // Ends the thread's `accept`.
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }
}
