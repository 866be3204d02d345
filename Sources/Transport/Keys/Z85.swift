/// ZeroMQ's text form of binary keys: 4 bytes as 5 characters (ZeroMQ RFC 32).
///
/// Works on buffers the caller owns, so that a secret's text never lies in memory that nobody zeroes.
enum Z85 {
  private static let alphabet = Array(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)
  private static let digits: [UInt8?] = {
    var digits = [UInt8?](repeating: nil, count: 256)
    for (value, character) in alphabet.enumerated() { digits[Int(character)] = UInt8(value) }
    return digits
  }()

  /// False when the sizes do not fit (4n bytes, 5n characters).
  static func encode(_ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer) -> Bool {
    guard bytes.count.isMultiple(of: 4), text.count == bytes.count / 4 * 5 else { return false }
    for group in 0..<bytes.count / 4 {
      var value = bytes[group * 4..<group * 4 + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      for place in (0..<5).reversed() {
        text[group * 5 + place] = alphabet[Int(value % 85)]
        value /= 85
      }
    }
    return true
  }

  /// False when the sizes do not fit or a character or a group of five stands for no bytes.
  static func decode(_ text: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard text.count.isMultiple(of: 5), bytes.count == text.count / 5 * 4 else { return false }
    for group in 0..<text.count / 5 {
      var value: UInt64 = 0
      for character in text[group * 5..<group * 5 + 5] {
        guard let digit = digits[Int(character)] else { return false }
        value = value * 85 + UInt64(digit)
      }
      guard let word = UInt32(exactly: value) else { return false }
      for place in 0..<4 {
        bytes[group * 4 + place] = UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * place))
      }
    }
    return true
  }
}
