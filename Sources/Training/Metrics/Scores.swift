import Numerics

/// Right and wrong answers by class. The answer is the class of the largest output, the lowest id among equals.
struct ClassificationCounts: Sendable {
  private var hits: [Int] = []
  private var answers: [Int] = []
  private var labels: [Int] = []

  mutating func add<Element: FloatingElement>(outputs: Tensor<Element>, labels ids: [Int32]) throws(TrainingError) {
    let classes = outputs.columns
    if hits.isEmpty {
      (hits, answers, labels) = (
        Array(repeating: 0, count: classes), Array(repeating: 0, count: classes), Array(repeating: 0, count: classes)
      )
    }
    guard hits.count == classes else {
      throw .outputsShape(expected: [outputs.rows, hits.count], found: outputs.shape)
    }
    if let row = ids.firstIndex(where: { Int($0) >= classes }) {
      throw .classOutOfRange(row: row, classes: classes)
    }
    outputs.withUnsafeBufferPointer { entries in
      for (row, id) in ids.enumerated() where id >= 0 {
        let logits = entries[row * classes..<(row + 1) * classes]
        var answer = logits.startIndex
        for index in logits.indices where logits[index] > logits[answer] { answer = index }
        answer -= logits.startIndex
        answers[answer] += 1
        labels[Int(id)] += 1
        if answer == Int(id) { hits[answer] += 1 }
      }
    }
  }

  /// Share of rows answered with their label.
  var accuracy: Double? {
    let rows = labels.reduce(0, +)
    return rows == 0 ? nil : Double(hits.reduce(0, +)) / Double(rows)
  }

  /// Mean over the classes that occur as a label or an answer of F1 = 2·hits / (answers + labels).
  var macroF1: Double? {
    let scores = hits.indices.compactMap { index in
      let total = answers[index] + labels[index]
      return total == 0 ? nil : 2 * Double(hits[index]) / Double(total)
    }
    return scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count)
  }
}

/// Scores of the observed entries of each task, kept for ranking: 4 bytes an entry.
struct RankingScores: Sendable {
  /// [task][entry]; single precision, which is what jobs compute in.
  private var positives: [[Float]] = []
  private var negatives: [[Float]] = []

  mutating func add<Element: FloatingElement>(outputs: Tensor<Element>, targets: Tensor<Element>) {
    let tasks = outputs.columns
    while positives.count < tasks {
      positives.append([])
      negatives.append([])
    }
    outputs.withUnsafeBufferPointer { scores in
      targets.withUnsafeBufferPointer { labels in
        for task in 0..<tasks {
          for index in stride(from: task, to: scores.count, by: tasks) where !labels[index].isNaN {
            if labels[index] > 0.5 {
              positives[task].append(Float(scores[index]))
            } else {
              negatives[task].append(Float(scores[index]))
            }
          }
        }
      }
    }
  }

  /// The mean of the tasks' areas over those with both classes.
  var meanArea: Double? {
    let areas = zip(positives, negatives).compactMap(Self.area)
    return areas.isEmpty ? nil : areas.reduce(0, +) / Double(areas.count)
  }

  /// The area under the ROC curve: the share of (positive, negative) pairs ranked rightly, a tie counting half.
  private static func area(positives: [Float], negatives: [Float]) -> Double? {
    guard !positives.isEmpty, !negatives.isEmpty else { return nil }
    let (ranked, others) = (positives.sorted(), negatives.sorted())
    var below = 0
    var notAbove = 0
    // Twice the count of pairs, so that halves stay whole.
    var doubled = 0
    for score in ranked {
      while below < others.count, others[below] < score { below += 1 }
      notAbove = max(notAbove, below)
      while notAbove < others.count, others[notAbove] == score { notAbove += 1 }
      doubled += below + notAbove
    }
    return Double(doubled) / (2 * Double(ranked.count) * Double(others.count))
  }
}

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
