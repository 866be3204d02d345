/// A job's public name: 16 random bytes in lower-case hexadecimal. Every key's label starts with it.
package struct JobIdentifier: Hashable, Sendable, CustomStringConvertible {
  static let characterCount = 32

  package let description: String

  /// A fresh one from the system's generator.
  package init() {
    var generator = SystemRandomNumberGenerator()
    let words: [UInt64] = [generator.next(), generator.next()]
    description = words.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Nil unless `text` is 32 lower-case hexadecimal digits.
  package init?(_ text: String) {
    guard text.utf8.count == Self.characterCount, text.utf8.allSatisfy({ Self.digits.contains($0) }) else { return nil }
    description = text
  }

  private static let digits = Set("0123456789abcdef".utf8)
}
