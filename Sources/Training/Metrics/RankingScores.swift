import Tensors

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
