import Tensors

/// Sums of squares for regression, over observed entries of all outputs together.
struct ResidualSums: Sendable {
  private var residual = 0.0
  private var count = 0
  /// Of each output: entries, mean and Σ(t − mean)², updated entry by entry (Welford), because Σt² − n·mean² would lose
  /// all digits of targets far from 0.
  private var counts: [Int] = []
  private var means: [Double] = []
  private var deviations: [Double] = []

  mutating func add<Element: FloatingElement>(outputs: Tensor<Element>, targets: Tensor<Element>) {
    let columns = outputs.columns
    while means.count < columns {
      counts.append(0)
      means.append(0)
      deviations.append(0)
    }
    outputs.withUnsafeBufferPointer { answers in
      targets.withUnsafeBufferPointer { wanted in
        for index in wanted.indices where !wanted[index].isNaN {
          let target = Double(wanted[index])
          let difference = Double(answers[index]) - target
          residual += difference * difference
          count += 1
          let column = index % columns
          counts[column] += 1
          let fromMean = target - means[column]
          means[column] += fromMean / Double(counts[column])
          deviations[column] += fromMean * (target - means[column])
        }
      }
    }
  }

  /// √(Σ(output − target)² / entries).
  var rootMeanSquare: Double? {
    count == 0 ? nil : (residual / Double(count)).squareRoot()
  }

  /// R² = 1 − Σ(output − target)² / Σ(target − its output's mean)², both over all outputs together.
  var determination: Double? {
    let total = deviations.reduce(0, +)
    return total > 0 ? 1 - residual / total : nil
  }
}
