/// Sizes as operators write them: 500M, 8G, 1073741824; binary multiples.
package enum ByteSize {
  /// Nil unless the text is a whole number of at least 1, with K, M, G or T after it or nothing, of at most `Int.max` bytes.
  package static func parse(_ text: String) -> Int? {
    let units: [String: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
    let shift = text.last.flatMap { units[$0.uppercased()] }
    let digits = shift == nil ? text[...] : text.dropLast()
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits), number > 0 else {
      return nil
    }
    let (value, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
    return overflow ? nil : value
  }
}
