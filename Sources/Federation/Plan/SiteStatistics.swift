package import Models
package import SecureSums

/// What sites report beside their updates, and what of it anybody may know: sums over the sites of a round.
///
/// Of one site it is what the site knows of itself; of a decoded sum, the sum over all. A mean over rows is the quotient of two of these.
package struct SiteStatistics: Sendable, Equatable {
  /// w of the weighted mean: training rows, or 1.
  package var weight = 0
  package var trainingRows = 0
  package var validationRows = 0
  /// The mean loss of the round's local steps, times training rows.
  package var localLoss = 0.0
  /// The mean loss on validation rows of the model that the round starts from, times validation rows.
  package var validationLoss = 0.0
  /// Of each metric, in the order of `metricNames`: its value times validation rows (of `rmse` the square's), 0 where the site's rows do not
  /// define it.
  package var metrics: [Double]
  /// Validation rows of the sites at which each metric is defined.
  package var metricRows: [Int]

  package init(task: LearningTask) {
    metrics = Array(repeating: 0, count: Self.metricNames(task).count)
    metricRows = Array(repeating: 0, count: metrics.count)
  }

  /// The metrics of a task; the first decides which model is the best.
  package static func metricNames(_ task: LearningTask) -> [String] {
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel: ["accuracy", "macro_f1"]
    case .multilabel: ["roc_auc"]
    case .regression: ["rmse", "r2"]
    case .survival: ["concordance"]
    }
  }

  /// Whether less is better, as of an error.
  package static func isError(_ metric: String) -> Bool { metric == "rmse" }

  static func blocks(of task: LearningTask, _ bits: BitPlan) -> [VectorFormat.Block] {
    let metrics = metricNames(task).count
    return [
      VectorFormat.Block(name: VectorBlock.statistics, count: 2 + metrics, kind: bits.statistic),
      VectorFormat.Block(name: VectorBlock.counts, count: 3 + metrics, kind: bits.rowCount),
    ]
  }

  /// Writes these numbers into a site's vector.
  ///
  /// - Throws: `FixedPointError` for a number outside the charter's bounds.
  package func encode(into vector: inout [UInt64], format: VectorFormat) throws(FixedPointError) {
    try format.encode([localLoss, validationLoss] + metrics, block: VectorBlock.statistics, into: &vector)
    try format.encode(
      integers: [weight, trainingRows, validationRows] + metricRows, block: VectorBlock.counts, into: &vector)
  }

  /// Reads the sums over the sites out of a sum's vector.
  ///
  /// - Throws: `FixedPointError.misplaced` for a format of another purpose.
  package init(sum vector: [UInt64], format: VectorFormat, task: LearningTask) throws(FixedPointError) {
    self.init(task: task)
    let values = try format.decode(vector, block: VectorBlock.statistics)
    let counts = try format.decodeIntegers(vector, block: VectorBlock.counts)
    guard values.count == 2 + metrics.count, counts.count == 3 + metrics.count else { return }
    (localLoss, validationLoss) = (values[0], values[1])
    metrics = Array(values[2...])
    (weight, trainingRows, validationRows) = (counts[0], counts[1], counts[2])
    metricRows = Array(counts[3...])
  }

  /// Means over the sites: `loss` (of the local steps), `validation_loss`, and each metric under its name where it is defined at any site.
  /// Accuracy and rmse are those of all rows together; the others are means of the sites' values, weighted by validation rows.
  package func means(task: LearningTask) -> [String: Double] {
    var means: [String: Double] = [:]
    if trainingRows > 0 { means["loss"] = localLoss / Double(trainingRows) }
    if validationRows > 0 { means["validation_loss"] = validationLoss / Double(validationRows) }
    for (place, name) in Self.metricNames(task).enumerated() where metricRows[place] > 0 {
      let mean = metrics[place] / Double(metricRows[place])
      means[name] = Self.isError(name) ? max(0, mean).squareRoot() : mean
    }
    return means
  }
}
