/// An interval of real numbers with either end open or closed; both ends finite.
struct NumberRange: Sendable {
  let lower: Double
  let upper: Double
  var excludesLower = false
  var excludesUpper = false

  func contains(_ value: Double) -> Bool {
    (excludesLower ? value > lower : value >= lower) && (excludesUpper ? value < upper : value <= upper)
  }

  var documentation: String {
    let from = (excludesLower ? "above " : "at least ") + NumberText.shortest(lower)
    let to = (excludesUpper ? "below " : "at most ") + NumberText.shortest(upper)
    return "a number \(from) and \(to)"
  }
}

/// Numbers as YAML's core schema writes them in decimal. Swift's own readers also take hexadecimal floats, "nan" and
/// "inf", which no key accepts.
enum NumberText {
  static func integer(_ text: String) -> Int? {
    let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy(isDigit) else { return nil }
    return Int(text)
  }

  /// Whether `text` is a decimal integer of any size, also one that `Int` cannot hold.
  static func isInteger(_ text: String) -> Bool {
    let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
    return !digits.isEmpty && digits.utf8.allSatisfy(isDigit)
  }

  /// A finite number; `overflows` when the text is a number too large to be finite.
  static func number(_ text: String) -> (value: Double, overflows: Bool)? {
    var rest = text.utf8[...]
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest.removeFirst() }
    let whole = rest.prefix(while: isDigit)
    rest = rest.dropFirst(whole.count)
    var fraction = rest.prefix(0)
    if rest.first == UInt8(ascii: ".") {
      fraction = rest.dropFirst().prefix(while: isDigit)
      rest = rest.dropFirst(1 + fraction.count)
    }
    guard !whole.isEmpty || !fraction.isEmpty else { return nil }
    if let mark = rest.first, mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") {
      rest.removeFirst()
      if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest.removeFirst() }
      let exponent = rest.prefix(while: isDigit)
      guard !exponent.isEmpty else { return nil }
      rest = rest.dropFirst(exponent.count)
    }
    guard rest.isEmpty, let value = Double(text) else { return nil }
    return (value, !value.isFinite)
  }

  /// The shortest text that reads back as the same number, whole numbers without a fraction.
  static func shortest(_ value: Double) -> String {
    let text = "\(value)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
