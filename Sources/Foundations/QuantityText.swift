import Foundation

/// Numbers, sizes and times as people read them in messages, tables and progress lines.
package enum QuantityText {
  /// One digit before the point and one after, with an exponent.
  package static func scientific(_ value: Double) -> String { String(format: "%.1e", value) }

  /// So many digits after the point.
  package static func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

  /// With a comma before every third digit from the right.
  package static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var grouped = ""
    for (offset, digit) in digits.enumerated() {
      if offset > 0, (digits.count - offset) % 3 == 0 { grouped.append(",") }
      grouped.append(digit)
    }
    return value < 0 ? "-" + grouped : grouped
  }

  /// In seconds, minutes or hours, with the next smaller unit where it says something; "–" for what is no duration.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "–" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min" + (whole % 60 > 0 ? " \(whole % 60) s" : "") }
    return "\(whole / 3600) h" + (whole % 3600 >= 60 ? " \(whole % 3600 / 60) min" : "")
  }
}

/// Numbers of bytes as text: traffic in multiples of 1000, memory and disk in multiples of 1024, as operators set their limits.
package enum ByteSize {
  /// In B, kB, MB, GB or TB with one decimal.
  package static func decimalText(_ bytes: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"]
    var size = Double(bytes)
    var unit = 0
    while size >= 1000, unit < units.count - 1 {
      size /= 1000
      unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(QuantityText.fixed(size, 1)) \(units[unit])"
  }

  /// In MiB with one decimal, cut off; in bytes where that would say 0.0, or next to nothing.
  ///
  /// - Parameter bytes: nil for a size that no `Int` holds.
  package static func binaryText(_ bytes: Int?) -> String {
    guard let bytes else { return "more bytes than can be counted" }
    guard bytes >= 1 << 20 else { return "\(bytes) bytes" }
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20)
    return "\(tenths / 10).\(tenths % 10) MiB"
  }

  /// In whole B, KiB or MiB, rounded up: for columns of a list.
  package static func wholeText(_ bytes: Int) -> String {
    switch bytes {
    case ..<1024: return "\(bytes) B"
    case ..<(1 << 20): return "\((bytes + 1023) >> 10) KiB"
    default:
      let (mebibytes, rest) = bytes.quotientAndRemainder(dividingBy: 1 << 20)
      return "\(rest > 0 ? mebibytes + 1 : mebibytes) MiB"
    }
  }

  /// A whole number of mebibytes as `parse` reads it.
  package static func argumentText(_ bytes: Int) -> String {
    bytes % (1 << 30) == 0 ? "\(bytes >> 30)G" : "\(bytes >> 20)M"
  }

  /// Reads sizes as operators write them: 500M, 8G, 1073741824; binary multiples.
  ///
  /// - Returns: nil unless the text is a whole number of at least 1, with K, M, G or T after it or nothing, of at most `Int.max` bytes.
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
