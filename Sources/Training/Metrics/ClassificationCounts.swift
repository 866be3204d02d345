import Tensors

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
