/// Checks addresses before libzmq sees them: encrypted TCP is the only transport offered.
enum EndpointAddress {
  /// - Parameter anyPort: whether port 0 (the system chooses) is allowed.
  /// - Throws: `.invalidEndpoint` unless the text is `tcp://HOST:PORT`.
  static func check(_ text: String, anyPort: Bool) throws(TransportError) {
    let scheme = "tcp://"
    let rest = text.dropFirst(scheme.count)
    guard text.hasPrefix(scheme), let colon = rest.lastIndex(of: ":"), colon != rest.startIndex,
      rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      rest[rest.index(after: colon)...].allSatisfy(\.isNumber),
      let port = UInt16(rest[rest.index(after: colon)...]), port > 0 || anyPort
    else { throw .invalidEndpoint(text) }
  }

  /// The host of a checked address, which holds colons itself when it is one of IPv6.
  static func host(of endpoint: String) -> String {
    let rest = endpoint.dropFirst("tcp://".count)
    return String(rest.lastIndex(of: ":").map { rest[..<$0] } ?? rest)
  }
}
