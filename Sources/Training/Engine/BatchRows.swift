import Numerics

/// How far each row of the batch in progress has come.
struct BatchRows {
  private enum State {
    case waiting
    case forwarded
    case gradientSet
  }

  private var states: [State] = []
  private(set) var withGradient = 0
  /// Whether a batch has begun: it may have no rows.
  private(set) var isOpen = false

  var count: Int { states.count }
  var missing: Int { count - withGradient }

  mutating func begin(_ rows: Int) {
    states.removeAll(keepingCapacity: true)
    states.append(contentsOf: repeatElement(.waiting, count: rows))
    withGradient = 0
    isOpen = true
  }

  mutating func close() {
    begin(0)
    isOpen = false
  }

  /// - Throws: `TrainingError.rowsOutsideBatch` unless `rows` is a non-empty part of the batch.
  func check(_ rows: Range<Int>) throws(TrainingError) {
    guard !rows.isEmpty, rows.lowerBound >= 0, rows.upperBound <= count else {
      throw .rowsOutsideBatch(rows: rows, batch: count)
    }
  }

  /// The rows' outputs are about to change: a gradient set for the old ones no longer counts.
  mutating func reset(_ rows: Range<Int>) {
    move(rows, to: .waiting)
  }

  mutating func setForwarded(_ rows: Range<Int>) {
    move(rows, to: .forwarded)
  }

  mutating func setGradient(_ rows: Range<Int>) {
    move(rows, to: .gradientSet)
  }

  func haveOutputs(_ rows: Range<Int>) -> Bool {
    states[rows].allSatisfy { $0 != .waiting }
  }

  private mutating func move(_ rows: Range<Int>, to state: State) {
    for row in rows {
      if states[row] == .gradientSet { withGradient -= 1 }
      if state == .gradientSet { withGradient += 1 }
      states[row] = state
    }
  }
}

/// A part of a batch between its forward and its backward pass.
struct BatchPart<Element: ActivationElement> {
  /// Samples of the batch.
  let rows: Range<Int>
  let sequences: SequenceLayout
  let memory: MatrixMemory<Element>
}

/// What one optimizer step did.
package struct StepReport: Sendable, Equatable {
  /// t, the number of the step just taken.
  package let step: Int
  /// ‖g‖₂ over all gradients together, before clipping.
  package let gradientNorm: Double
  package let learningRate: Double

  package init(step: Int, gradientNorm: Double, learningRate: Double) {
    self.step = step
    self.gradientNorm = gradientNorm
    self.learningRate = learningRate
  }
}
