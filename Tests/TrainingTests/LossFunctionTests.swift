import Models
import Numerics
import Testing

@testable import Training

@Suite struct LossFunctionTests {
  /// What PyTorch computed in float64 (Fixtures/write_fixtures.py).
  struct Case: Decodable, Sendable, CustomStringConvertible {
    let task: LearningTask
    let rows: Int
    let columns: Int
    let outputs: [Double]
    /// Class ids, or an entry for each output with null for a missing one.
    let targets: [Double?]
    let normalizer: Double
    let sum: Double
    let gradient: [Double]

    var description: String { "\(task.rawValue) \(rows)×\(columns)" }

    func targets<Element: FloatingElement>(_: Element.Type) -> Targets<Element> {
      task == .classification
        ? .classes(targets.map { Int32($0 ?? -1) })
        : .values(Tensor(targets.map { $0.map { Element($0) } ?? .nan }, shape: [rows, columns]))
    }
  }

  static let cases = Result { try Fixture.read("losses", as: [Case].self) }

  @Test func theFixtureHoldsEveryTask() throws {
    // Tasks with an output for each token have the loss of classification.
    #expect(Set(try Self.cases.get().map(\.task)) == [.classification, .multilabel, .regression])
  }

  /// Logits reach 700. In double: sums of 126 terms with relative error 2.2e-16 each, 1e-13 with room. In single: outputs
  /// are rounded to 6e-8 of at most 700, which moves a loss by 4e-5, and the terms add 6e-8 of themselves.
  @Test(arguments: 0..<4) func sumAndGradientAreThose(_ index: Int) throws {
    let wanted = try Self.cases.get()[index]
    let loss = LossFunction(task: wanted.task)
    let double = try loss.evaluate(
      outputs: Tensor(wanted.outputs, shape: [wanted.rows, wanted.columns]), targets: wanted.targets(Double.self),
      normalizer: wanted.normalizer)
    #expect(wanted.targets(Double.self).observedCount == Int(wanted.normalizer))
    #expect(abs(double.lossSum - wanted.sum) <= 1e-13 * wanted.sum)
    let largest = wanted.gradient.map(abs).max() ?? 0
    #expect(zip(double.gradient.elements, wanted.gradient).allSatisfy { abs($0 - $1) <= 1e-13 * max(1, largest) })
    let single = try loss.evaluate(
      outputs: Tensor(wanted.outputs.map(Float.init), shape: [wanted.rows, wanted.columns]),
      targets: wanted.targets(Float.self), normalizer: wanted.normalizer)
    #expect(abs(single.lossSum - wanted.sum) <= 1e-6 * wanted.sum)
    #expect(
      zip(single.gradient.elements, wanted.gradient).allSatisfy { abs(Double($0) - $1) <= 1e-6 * max(1, largest) })
  }

  @Test func microBatchesNeverChangeTheMean() throws {
    for wanted in try Self.cases.get() {
      let loss = LossFunction(task: wanted.task)
      let outputs = Tensor(wanted.outputs, shape: [wanted.rows, wanted.columns])
      let targets = wanted.targets(Double.self)
      let normalizer = Double(targets.observedCount)
      let whole = try loss.evaluate(outputs: outputs, targets: targets, normalizer: normalizer)
      var sum = 0.0
      var gradient: [Double] = []
      for range in [0..<1, 1..<4, 4..<6] {
        let rows = Tensor(
          wanted.outputs[range.lowerBound * wanted.columns..<range.upperBound * wanted.columns],
          shape: [range.count, wanted.columns])
        let part = try loss.evaluate(outputs: rows, targets: targets[range], normalizer: normalizer)
        sum += part.lossSum
        gradient += part.gradient.elements
      }
      // Another order of adding 126 positive terms.
      #expect(abs(sum - whole.lossSum) <= 1e-13 * whole.lossSum)
      // binary cross-entropy and squared error: libm gives the same bits for the same entry, vector or not.
      #expect(zip(gradient, whole.gradient.elements).allSatisfy { abs($0 - $1) <= 1e-15 * max(1, abs($1)) })
    }
  }

  @Test func aRowCountsWhatItsClassWeighs() throws {
    let wanted = try #require(try Self.cases.get().first { $0.task == .classification })
    let weights = (0..<wanted.columns).map { 0.25 + Double($0) }
    let (outputs, targets) = (
      Tensor(wanted.outputs, shape: [wanted.rows, wanted.columns]), wanted.targets(Double.self)
    )
    let weighted = try LossFunction(task: .classification, classWeights: weights).evaluate(
      outputs: outputs, targets: targets, normalizer: 7)
    var sum = 0.0
    for row in 0..<wanted.rows {
      let weight = weights[Int(try #require(wanted.targets[row]))]
      let logits = wanted.outputs[row * wanted.columns..<(row + 1) * wanted.columns]
      let alone = try LossFunction(task: .classification).evaluate(
        outputs: Tensor(logits, shape: [1, wanted.columns]), targets: targets[row..<row + 1], normalizer: 7)
      sum += weight * alone.lossSum
      for column in 0..<wanted.columns {
        // One product more, in another order: two roundings.
        let expected = weight * alone.gradient.elements[column]
        #expect(
          abs(weighted.gradient.elements[row * wanted.columns + column] - expected) <= 1e-15 * max(1, abs(expected)))
      }
    }
    #expect(abs(weighted.lossSum - sum) <= 1e-14 * sum)
  }

  @Test func aBatchWithNothingObservedHasNoLossAndNoGradient() throws {
    let missing = Targets<Float>.values(Tensor(repeating: .nan, shape: [2, 3]))
    for task in [LearningTask.multilabel, .regression] {
      let result = try LossFunction(task: task).evaluate(
        outputs: Tensor(repeating: 4, shape: [2, 3]), targets: missing, normalizer: Double(missing.observedCount))
      #expect(result.lossSum == 0)
      #expect(result.gradient == Tensor(zeros: [2, 3]))
    }
  }

  @Test(arguments: [Int32(-1), 3, Int32.max, Int32.min]) func aClassIdOutOfRangeIsRefused(_ id: Int32) {
    #expect(throws: TrainingError.classOutOfRange(row: 1, classes: 3)) {
      try LossFunction(task: .classification).evaluate(
        outputs: Tensor<Float>(zeros: [2, 3]), targets: .classes([0, id]), normalizer: 2)
    }
  }

  @Test func targetsOfAnotherShapeAreRefused() {
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .classification).evaluate(
        outputs: Tensor<Float>(zeros: [2, 3]), targets: .classes([0]), normalizer: 2)
    }
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .regression).evaluate(
        outputs: Tensor<Float>(zeros: [2, 3]), targets: .values(Tensor(zeros: [2, 2])), normalizer: 2)
    }
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .multilabel).evaluate(
        outputs: Tensor<Float>(zeros: [2, 3]), targets: .classes([0, 1]), normalizer: 2)
    }
  }

  @Test(arguments: LearningTask.allCases) func outputsThatAreNotFiniteAreRefused(_ task: LearningTask) {
    let targets: Targets<Float> =
      task == .survival
      ? .times((0..<6).map { SurvivalTime(time: Double($0), isEvent: $0 == 0) })
      : task.hasClasses ? .classes([0, 1]) : .values(Tensor(zeros: [2, 3]))
    #expect(throws: TrainingError.nonFiniteLoss) {
      try LossFunction(task: task).evaluate(
        outputs: Tensor([0, 0, 0, 0, .nan, 0], shape: task == .survival ? [6, 1] : [2, 3]), targets: targets,
        normalizer: 2)
    }
  }
}
