package import Models
package import Numerics

/// The loss of a task: softmax cross-entropy, binary cross-entropy on logits, squared error, or Cox's partial likelihood.
package struct LossFunction: Sendable, Equatable {
  package let task: LearningTask
  /// What a row of each class counts in the sum, of a classification; nil where all rows count 1.
  package let classWeights: [Double]?

  package init(task: LearningTask) {
    self.init(task: task, classWeights: nil)
  }

  /// - Parameter classWeights: at least 0 and finite, one for each class; only of a classification. The mean stays one over rows: it is not
  ///   divided by the weights, so that gradients of parts and of sites add up.
  package init(task: LearningTask, classWeights: [Double]?) {
    self.task = task
    self.classWeights = classWeights
  }

  /// The sum of the losses of these rows, and the gradient of sum ÷ normalizer with respect to `outputs`.
  ///
  /// With the whole batch's `observedCount` as `normalizer`, gradients of micro-batches are those of the batch's mean.
  /// Where nothing is observed (normalizer 0) both are 0.
  /// - Parameter outputs: rows × outputs.
  /// - Throws: `TrainingError.targetsShape`, `.classOutOfRange`, `.nonFiniteLoss`.
  package func evaluate<Element>(
    outputs: Tensor<Element>, targets: Targets<Element>, normalizer: Double
  ) throws(TrainingError) -> (lossSum: Double, gradient: Tensor<Element>) {
    guard outputs.shape.count == 2 else { throw .outputsShape(expected: [targets.rows, 0], found: outputs.shape) }
    var gradient = Tensor<Element>(zeros: outputs.shape)
    let (rows, columns) = (outputs.shape[0], outputs.shape[1])
    let sum = try outputs.withUnsafeBufferPointer { source throws(TrainingError) in
      try gradient.withUnsafeMutableBufferPointer { target throws(TrainingError) in
        guard let from = source.baseAddress, let into = target.baseAddress else { return 0.0 }
        return try evaluate(
          outputs: from, rows: rows, columns: columns, targets: targets, normalizer: normalizer, gradient: into)
      }
    }
    return (sum, gradient)
  }

  /// The same on contiguous memory.
  func evaluate<Element: FloatingElement>(
    outputs: UnsafePointer<Element>, rows: Int, columns: Int, targets: Targets<Element>, normalizer: Double,
    gradient: UnsafeMutablePointer<Element>
  ) throws(TrainingError) -> Double {
    let scale = normalizer > 0 ? Element(1 / normalizer) : 0
    let sum: Double
    switch (task, targets) {
    case (.classification, .classes(let labels)), (.tokenClassification, .classes(let labels)),
      (.causalLanguageModel, .classes(let labels)):
      guard labels.count == rows else { throw .targetsShape("\(labels.count) class ids for \(rows) rows") }
      if let row = labels.firstIndex(where: { Int($0) >= columns || ($0 < 0 && !task.isPerToken) }) {
        throw .classOutOfRange(row: row, classes: columns)
      }
      sum = labels.withUnsafeBufferPointer { ids in
        guard let ids = ids.baseAddress else { return 0 }
        if let classWeights {
          return Self.weighted(
            classWeights, rows: rows, classes: columns, outputs: outputs, labels: ids, scale: scale, gradient: gradient)
        }
        return Element.softmaxCrossEntropy(
          rows: rows, classes: columns, outputs: outputs, labels: ids, scale: scale, gradient: gradient)
      }
    case (.multilabel, .values(let values)), (.regression, .values(let values)):
      guard values.shape == [rows, columns] else {
        throw .targetsShape("values of shape \(values.shape) for outputs of shape \([rows, columns])")
      }
      sum = values.withUnsafeBufferPointer { entries in
        guard let entries = entries.baseAddress else { return 0 }
        let loss = task == .multilabel ? Element.binaryCrossEntropy : Element.squaredError
        return loss(rows * columns, outputs, entries, scale, gradient)
      }
    case (.survival, .times(let times)):
      guard times.count == rows, columns == 1 else {
        throw .targetsShape("\(times.count) times for outputs of shape \([rows, columns])")
      }
      sum = CoxPartialLikelihood.evaluate(
        risks: UnsafeBufferPointer(start: outputs, count: rows), times: times, scale: Double(scale),
        gradient: UnsafeMutableBufferPointer(start: gradient, count: rows))
    case (.classification, _), (.tokenClassification, _), (.causalLanguageModel, _):
      throw .targetsShape("\(task.rawValue) needs class ids")
    case (.multilabel, _), (.regression, _): throw .targetsShape("\(task.rawValue) needs a value for each output")
    case (.survival, _): throw .targetsShape("survival needs a time for each row")
    }
    guard sum.isFinite else { throw .nonFiniteLoss }
    return sum
  }

  /// Σ weight of its class × cross-entropy, row by row.
  private static func weighted<Element: FloatingElement>(
    _ weights: [Double], rows: Int, classes: Int, outputs: UnsafePointer<Element>, labels: UnsafePointer<Int32>,
    scale: Element, gradient: UnsafeMutablePointer<Element>
  ) -> Double {
    (0..<rows).reduce(0) { sum, row in
      let label = Int(labels[row])
      let weight = weights.indices.contains(label) ? weights[label] : 0
      return sum + weight
        * Element.softmaxCrossEntropy(
          rows: 1, classes: classes, outputs: outputs + row * classes, labels: labels + row,
          scale: Element(weight) * scale, gradient: gradient + row * classes)
    }
  }
}

/// What the outputs of some rows should have been.
package enum Targets<Element: FloatingElement>: Sendable, Equatable {
  /// A class id for each row; where rows are tokens, a negative one marks a token that does not count.
  case classes([Int32])
  /// Rows × outputs: 0 or 1 for multilabel, any number for regression; NaN marks a missing entry.
  case values(Tensor<Element>)
  /// A time for each row, to its event or to the last time that the row was seen without one.
  case times([SurvivalTime])

  package var rows: Int {
    switch self {
    case .classes(let ids): ids.count
    case .values(let values): values.rows
    case .times(let times): times.count
    }
  }

  /// What a mean is taken over: rows of a classification that count, all rows of a survival, entries that are not missing otherwise. Its sum over the
  /// micro-batches of a batch is the batch's normalizer.
  package var observedCount: Int {
    switch self {
    case .classes(let ids): ids.count { $0 >= 0 }
    case .values(let values):
      values.withUnsafeBufferPointer { entries in
        entries.reduce(into: 0) { count, entry in count += entry.isNaN ? 0 : 1 }
      }
    case .times(let times): times.count
    }
  }

  /// The targets of some rows, `range` within `0..<rows`.
  package subscript(range: Range<Int>) -> Targets {
    switch self {
    case .classes(let ids): .classes(Array(ids[range]))
    case .times(let times): .times(Array(times[range]))
    case .values(let values):
      values.withUnsafeBufferPointer { entries in
        let columns = values.columns
        return .values(
          Tensor(
            entries[range.lowerBound * columns..<range.upperBound * columns], shape: [range.count, columns]))
      }
    }
  }
}
