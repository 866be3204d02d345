import Foundation

/// Numbers as a report shows them.
package enum ReportNumber {
  /// Three digits that count, without an exponent where it can be helped; "–" for none.
  package static func text(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    if value == value.rounded(), abs(value) < 1e6 { return String(Int(value)) }
    let size = abs(value)
    if size >= 100 { return String(format: "%.0f", value) }
    if size >= 10 { return String(format: "%.1f", value) }
    if size >= 0.01 { return String(format: "%.3f", value) }
    return String(format: "%.1e", value)
  }

  /// A share in whole per cent, of any size: what is no number, or too large for one of per cents, is "–".
  static func percent(_ share: Double) -> String {
    let value = (100 * share).rounded()
    return abs(value) < 1e6 ? String(Int(value)) : "–"
  }

  package static func text(_ interval: Interval?) -> String {
    guard let interval else { return "" }
    let lower = text(interval.lower)
    return interval.upper.isFinite ? "\(lower) … \(text(interval.upper))" : "\(lower) or more"
  }

  /// The value with its interval, or what it means to have none, and whether the attempt was cut short.
  package static func text(_ measurement: Measurement?) -> String {
    guard let measurement else { return "–" }
    let mark = measurement.isCutShort ? ", cut short" : ""
    let value = measurement.value.map { text($0) } ?? "not reached"
    return (measurement.interval == nil ? value : "\(value) (\(text(measurement.interval)))") + mark
  }
}
