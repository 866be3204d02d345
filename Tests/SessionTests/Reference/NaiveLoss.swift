import Models
import Foundation

/// Losses and the metrics that decide `keep: best`, from their definitions.
struct NaiveLoss {
  let task: LearningTask

  /// The losses of the rows of a batch and their gradients, as `evaluate` for one; those of a survival compare the rows with each other.
  func evaluate(batch outputs: [[Double]], _ targets: [[Double]]) -> [(loss: Double, gradient: [Double])] {
    guard task == .survival else { return zip(outputs, targets).map { evaluate($0, $1) } }
    let risks = outputs.map { $0[0] }
    let atRisk = targets.map { row in targets.indices.filter { targets[$0][0] >= row[0] } }
    let sums = atRisk.map { rows in rows.reduce(0) { $0 + exp(risks[$1]) } }
    return targets.indices.map { row in
      let events = targets.indices.filter { targets[$0][1] == 1 }
      let expected = events.reduce(0.0) { $0 + (atRisk[$1].contains(row) ? exp(risks[row]) / sums[$1] : 0) }
      return (targets[row][1] * (log(sums[row]) - risks[row]), [expected - targets[row][1]])
    }
  }

  /// The loss of one row, not divided by anything, and its gradient. `targets` hold the class id, or a value an output.
  func evaluate(_ outputs: [Double], _ targets: [Double]) -> (loss: Double, gradient: [Double]) {
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel:
      let largest = outputs.max() ?? 0
      let weights = outputs.map { exp($0 - largest) }
      let total = weights.reduce(0, +)
      let chosen = Int(targets[0])
      return (
        log(total) + largest - outputs[chosen],
        outputs.indices.map { weights[$0] / total - ($0 == chosen ? 1 : 0) }
      )
    case .multilabel:
      var loss = 0.0
      let gradient = outputs.indices.map { index -> Double in
        let (z, target) = (outputs[index], targets[index])
        guard !target.isNaN else { return 0 }
        loss += max(z, 0) - z * target + log1p(exp(-abs(z)))
        return 1 / (1 + exp(-z)) - target
      }
      return (loss, gradient)
    case .regression:
      var loss = 0.0
      let gradient = outputs.indices.map { index -> Double in
        let difference = outputs[index] - targets[index]
        guard !difference.isNaN else { return 0 }
        loss += difference * difference
        return 2 * difference
      }
      return (loss, gradient)
    case .survival: return evaluate(batch: [outputs], [targets])[0]
    }
  }

  func observed(_ targets: [Double]) -> Int {
    task == .classification || task == .survival ? 1 : targets.count { !$0.isNaN }
  }

  /// Higher is better: accuracy, mean area under the ROC curve, −RMSE, or the concordance.
  func score(_ outputs: [[Double]], _ targets: [[Double]]) -> Double {
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel:
      let right = zip(outputs, targets).count { outputs, targets in outputs[Int(targets[0])] == outputs.max() }
      return Double(right) / Double(outputs.count)
    case .multilabel:
      let areas = (outputs.first ?? []).indices.compactMap { column in
        area(zip(outputs, targets).map { ($0[column], $1[column]) })
      }
      return areas.reduce(0, +) / Double(areas.count)
    case .regression:
      let squares = zip(outputs, targets).flatMap { outputs, targets in
        zip(outputs, targets).filter { !$1.isNaN }.map { ($0 - $1) * ($0 - $1) }
      }
      return -(squares.reduce(0, +) / Double(squares.count)).squareRoot()
    case .survival:
      var (right, pairs) = (0.0, 0.0)
      for (first, event) in targets.enumerated() where event[1] == 1 {
        for (second, other) in targets.enumerated()
        where other[0] > event[0] || (other[0] == event[0] && other[1] == 0) {
          let (risk, against) = (outputs[first][0], outputs[second][0])
          pairs += 1
          right += risk > against ? 1 : risk == against ? 0.5 : 0
        }
      }
      return right / pairs
    }
  }

  private func area(_ entries: [(score: Double, label: Double)]) -> Double? {
    let positives = entries.filter { $0.label == 1 }
    let negatives = entries.filter { $0.label == 0 }
    guard !positives.isEmpty, !negatives.isEmpty else { return nil }
    var doubled = 0
    for positive in positives {
      for negative in negatives {
        doubled += positive.score > negative.score ? 2 : positive.score == negative.score ? 1 : 0
      }
    }
    return Double(doubled) / Double(2 * positives.count * negatives.count)
  }
}
