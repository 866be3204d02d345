package import Models
package import Numerics

/// One number that says how good outputs are.
package struct Metric: Sendable, Equatable, Codable {
  /// "accuracy", "macro_f1", "roc_auc", "rmse", "r2", "concordance".
  package let name: String
  /// Nil where the rows seen do not define it (no task with both classes, no observed entry, constant targets, no pair of times to compare).
  package let value: Double?
  package let higherIsBetter: Bool

  package init(name: String, value: Double?, higherIsBetter: Bool) {
    self.name = name
    self.value = value
    self.higherIsBetter = higherIsBetter
  }

  /// Strictly better than `other`, so that `keep: best` keeps the first of equals; a defined value beats an undefined one.
  package func isBetter(than other: Metric) -> Bool {
    guard let value else { return false }
    guard let before = other.value else { return true }
    return higherIsBetter ? value > before : value < before
  }
}

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
    Dictionary(
      all.compactMap { metric in metric.value.map { (metric.name, $0) } }, uniquingKeysWith: { first, _ in first })
  }
}

/// Metrics over outputs that arrive in parts.
///
/// Unchanged when classes or tasks are permuted, and regression's when outputs and targets are rotated (where no entry
/// is missing), up to ties and rounding: so they can be computed on masked outputs with equally masked targets.
package struct MetricAccumulator: Sendable {
  private enum State: Sendable {
    case classification(ClassificationCounts)
    case multilabel(RankingScores)
    case regression(ResidualSums)
    case survival(ConcordanceRows)
  }

  private var state: State

  package init(task: LearningTask) {
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel: state = .classification(ClassificationCounts())
    case .multilabel: state = .multilabel(RankingScores())
    case .regression: state = .regression(ResidualSums())
    case .survival: state = .survival(ConcordanceRows())
    }
  }

  /// - Parameter outputs: rows × outputs, as the model gave them (logits).
  /// - Throws: `TrainingError.outputsShape`, `.targetsShape`, `.classOutOfRange`.
  package mutating func add<Element>(
    outputs: Tensor<Element>, targets: Targets<Element>
  ) throws(TrainingError) {
    guard outputs.shape.count == 2, outputs.rows == targets.rows else {
      throw .outputsShape(expected: [targets.rows, outputs.columns], found: outputs.shape)
    }
    switch (state, targets) {
    case (.classification(var counts), .classes(let ids)):
      try counts.add(outputs: outputs, labels: ids)
      state = .classification(counts)
    case (.multilabel(var scores), .values(let values)):
      try Self.requireSameShape(outputs, values)
      // Emptied first: the arrays inside are then grown in place instead of copied.
      state = .multilabel(RankingScores())
      scores.add(outputs: outputs, targets: values)
      state = .multilabel(scores)
    case (.regression(var sums), .values(let values)):
      try Self.requireSameShape(outputs, values)
      sums.add(outputs: outputs, targets: values)
      state = .regression(sums)
    case (.survival(var rows), .times(let times)):
      guard outputs.columns == 1 else { throw .outputsShape(expected: [times.count, 1], found: outputs.shape) }
      state = .survival(ConcordanceRows())
      rows.add(outputs: outputs, times: times)
      state = .survival(rows)
    case (.classification, _): throw .targetsShape("classification needs class ids")
    case (.multilabel, _), (.regression, _): throw .targetsShape("a value is needed for each output")
    case (.survival, _): throw .targetsShape("survival needs a time for each row")
    }
  }

  package func result() -> Metrics {
    switch state {
    case .classification(let counts):
      Metrics(
        primary: Metric(name: "accuracy", value: counts.accuracy, higherIsBetter: true),
        others: [Metric(name: "macro_f1", value: counts.macroF1, higherIsBetter: true)])
    case .multilabel(let scores):
      Metrics(primary: Metric(name: "roc_auc", value: scores.meanArea, higherIsBetter: true), others: [])
    case .regression(let sums):
      Metrics(
        primary: Metric(name: "rmse", value: sums.rootMeanSquare, higherIsBetter: false),
        others: [Metric(name: "r2", value: sums.determination, higherIsBetter: true)])
    case .survival(let rows):
      Metrics(primary: Metric(name: "concordance", value: rows.concordance, higherIsBetter: true), others: [])
    }
  }

  private static func requireSameShape<Element>(
    _ outputs: Tensor<Element>, _ values: Tensor<Element>
  ) throws(TrainingError) {
    guard values.shape == outputs.shape else {
      throw .targetsShape("values of shape \(values.shape) for outputs of shape \(outputs.shape)")
    }
  }
}
