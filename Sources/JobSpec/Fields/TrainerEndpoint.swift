/// The form of `tcp://HOST:PORT`: a host name, an IPv4 address, or an IPv6 address in brackets.
enum TrainerEndpoint {
  static func isValid(_ text: String) -> Bool {
    let scheme = "tcp://"
    guard text.utf8.count <= 300, text.hasPrefix(scheme) else { return false }
    let rest = text.dropFirst(scheme.count)
    guard let colon = rest.lastIndex(of: ":") else { return false }
    let digits = rest[rest.index(after: colon)...]
    guard digits.utf8.count <= 5, let port = NumberText.integer(String(digits)), (1...65535).contains(port),
      digits.first != "+"
    else { return false }
    let host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]"), host.count > 2 {
      return host.dropFirst().dropLast().utf8.allSatisfy { isHexadecimal($0) || $0 == 0x3A || $0 == 0x2E }
    }
    return !host.isEmpty && !host.hasPrefix("-") && host.utf8.allSatisfy(isHostByte)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }

  /// Letters, digits, `.`, `-`, `_`.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == 0x2E || byte == 0x2D || byte == 0x5F
  }
}
