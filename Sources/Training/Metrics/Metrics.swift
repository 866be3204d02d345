/// The metrics of a task over the rows seen, in the order they are shown; the first decides `keep: best`.
package struct Metrics: Sendable, Equatable, Codable {
  /// Never empty: the primary metric comes first.
  package let primary: Metric
  package let others: [Metric]

  package init(primary: Metric, others: [Metric]) {
    self.primary = primary
    self.others = others
  }

  package var all: [Metric] { [primary] + others }

  /// The value under a name; nil for an unknown name and for an undefined value.
  package subscript(name: String) -> Double? {
    all.first { $0.name == name }?.value
  }
}

extension Metrics {
  /// Every metric that has a value, by name.
  package var valuesByName: [String: Double] {
    Dictionary(all.compactMap { metric in metric.value.map { (metric.name, $0) } }, uniquingKeysWith: { first, _ in first })
  }
}
