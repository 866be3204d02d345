/// A CURVE public key: 32 bytes, written as 40 characters of z85.
package struct CurvePublicKey: Hashable, Sendable, CustomStringConvertible {
  package static let byteCount = 32
  package static let textLength = 40

  package let bytes: [UInt8]

  /// Nil unless there are 32 bytes.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  /// Nil unless the text is 40 characters of z85.
  package init?(z85 text: String) {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    let isValid = Array(text.utf8).withUnsafeBytes { text in
      bytes.withUnsafeMutableBytes { Z85.decode(text, into: $0) }
    }
    guard isValid else { return nil }
    self.bytes = bytes
  }

  package var z85: String {
    var text = [UInt8](repeating: 0, count: Self.textLength)
    _ = bytes.withUnsafeBytes { bytes in
      text.withUnsafeMutableBytes { Z85.encode(bytes, into: $0) }
    }
    return String(decoding: text, as: UTF8.self)
  }

  package var description: String { z85 }
}
