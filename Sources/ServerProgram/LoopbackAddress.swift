import ArgumentParser
import Foundation

/// An address that only programs of this machine reach: `127.0.0.1:9100`, `localhost:9100`, `[::1]:9100`; port 0 picks one.
package struct LoopbackAddress: CustomStringConvertible, Sendable {
  let isIPv6: Bool
  /// Most significant byte first; all in 127.0.0.0/8.
  let ipv4: [UInt8]
  let port: UInt16

  /// - Throws: `ValidationError` for any other address: what a server tells of its owners' jobs is for its own machine.
  package init(_ text: String) throws {
    let advice = "--metrics takes a loopback address: 127.0.0.1:PORT, localhost:PORT or [::1]:PORT, not '\(text)'"
    guard let colon = text.lastIndex(of: ":") else { throw ValidationError(advice) }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
      throw ValidationError(advice)
    }
    self.port = port
    let host = String(text[..<colon])
    isIPv6 = host == "[::1]"
    var address = in_addr()
    if host == "localhost" || isIPv6 {
      ipv4 = [127, 0, 0, 1]
    } else if inet_pton(AF_INET, host, &address) == 1 {
      ipv4 = withUnsafeBytes(of: address.s_addr) { Array($0) }
      guard ipv4.first == 127 else { throw ValidationError(advice) }
    } else {
      throw ValidationError(advice)
    }
  }

  private init(isIPv6: Bool, ipv4: [UInt8], port: UInt16) {
    (self.isIPv6, self.ipv4, self.port) = (isIPv6, ipv4, port)
  }

  func with(port: UInt16) -> LoopbackAddress {
    LoopbackAddress(isIPv6: isIPv6, ipv4: ipv4, port: port)
  }

  package var description: String {
    (isIPv6 ? "[::1]" : ipv4.map(String.init).joined(separator: ".")) + ":\(port)"
  }

  /// Gives the address in the form that the socket calls take.
  func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      return Self.withPointer(to: &address, body)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = ipv4.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.bigEndian
    return Self.withPointer(to: &address, body)
  }

  /// The pointer is valid during `body` only; every kind of socket address begins as `sockaddr` does.
  private static func withPointer<Address, Result>(
    to address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
    }
  }
}
