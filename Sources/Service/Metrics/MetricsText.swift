package import Synchronization

/// Prometheus' text exposition format 0.0.4: a HELP and a TYPE line a metric, then its samples.
package struct MetricsText {
  package enum Kind: String {
    case counter
    case gauge
  }

  package struct Sample {
    let labels: [(name: String, value: String)]
    let value: Double

    package init(_ labels: [(String, String)], _ value: Double) {
      self.labels = labels
      self.value = value
    }
  }

  private(set) var text = ""

  /// - Parameter name: of letters, digits and underscores; each is added once.
  package mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
    text += "# HELP \(name) \(Self.escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
    for sample in samples {
      let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
      text += name + (labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}") + " \(Self.number(sample.value))\n"
    }
  }

  package mutating func add(_ name: String, _ kind: Kind, _ help: String, of counter: borrowing Atomic<Int>) {
    add(name, kind, help, [Sample([], Double(counter.load(ordering: .relaxed)))])
  }

  /// Whole numbers up to 2⁵³ are exact, as they are in Prometheus, whose values are doubles.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int(exactly: value).map(String.init) ?? "\(value)"
  }

  static func escaped(_ text: String, quotes: Bool = false) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
