import Architecture
import Tensors
import Testing

@testable import Training

@Suite struct TrainingEngineTests {
  private static let width = 40 + 1 + 1

  private func engine<Element: FloatingElement>(
    _: Element.Type, kind: OptimizerDescription.Kind = .sgd, threads: Int = 2, capacity: Int = 96,
    activation: Activation = .gelu, totalSteps: Int = 20
  ) throws -> TrainingEngine<Element> {
    let description = ModelDescription.mlp(
      MLPDescription(
        input: HomogeneousColumns(features: 40, padding: 1), hidden: [300, 70], activation: activation, outputs: 5))
    return try TrainingEngine(
      model: description,
      optimizer: OptimizerDescription(
        kind: kind, learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 0.01, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0.1, decay: .linear), totalSteps: totalSteps, batchRows: capacity,
      workers: Workers(threads: threads),
      parameters: Model(description).structure.parameters.enumerated().map { index, parameter in
        let fanIn = Double(parameter.shape.last ?? 1)
        return Tensor(
          LayerHarness.noise(parameter.shape.reduce(1, *), seed: UInt64(index + 1)).map {
            Element($0 / fanIn.squareRoot())
          }, shape: parameter.shape)
      })
  }

  private func inputs(_ step: Int, rows: Range<Int>) -> [Double] {
    let all = LayerHarness.noise(96 * Self.width, seed: UInt64(1000 + step))
    return Array(all[rows.lowerBound * Self.width..<rows.upperBound * Self.width])
  }

  /// One step with micro-batches of `part` rows and labels that follow the row.
  @discardableResult
  private func step<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, rows: Int = 96, part: Int
  ) throws -> (loss: Double, report: StepReport) {
    let labels = Targets<Element>.classes((0..<rows).map { Int32($0 % 5) })
    let loss = LossFunction(task: .classification)
    let number = engine.step
    try engine.beginBatch(rows: rows)
    var sum = 0.0
    for start in stride(from: 0, to: rows, by: part) {
      let range = start..<min(rows, start + part)
      let outputs = try engine.forward(rows: range) { input in
        for (index, value) in inputs(number, rows: range).enumerated() { input[index] = Element(value) }
      }
      let result = try loss.evaluate(outputs: outputs, targets: labels[range], normalizer: Double(rows))
      try engine.setOutputGradient(result.gradient, rows: range)
      sum += result.lossSum
    }
    return (sum / Double(rows), try engine.finishStep())
  }

  private func bits(_ engine: TrainingEngine<Float>) -> [[UInt32]] {
    engine.parameters.map { $0.elements.map(\.bitPattern) }
      + engine.optimizerState.map { $0.tensor.elements.map(\.bitPattern) }
  }

  // MARK: - Steps

  @Test func microBatchesGiveTheWholeBatchsStep() throws {
    let whole = try engine(Double.self)
    let parts = try engine(Double.self)
    for _ in 0..<3 {
      let a = try step(whole, part: 96)
      let b = try step(parts, part: 16)
      #expect(abs(a.loss - b.loss) <= 1e-12 * a.loss)
      #expect(abs(a.report.gradientNorm - b.report.gradientNorm) <= 1e-12 * a.report.gradientNorm)
    }
    for (a, b) in zip(whole.parameters, parts.parameters) {
      // BLAS adds in another order for other row counts: a few units of 2.2e-16 an entry and step.
      #expect(zip(a.elements, b.elements).allSatisfy { abs($0 - $1) < 1e-12 })
    }
  }

  @Test(arguments: OptimizerDescription.Kind.allCases) func bitsDoNotDependOnThreads(
    _ kind: OptimizerDescription.Kind
  ) throws {
    let results = try [1, 2, 3, 7].map { threads in
      let engine = try engine(Float.self, kind: kind, threads: threads)
      let norms = try (0..<3).map { _ in try step(engine, part: 40).report.gradientNorm }
      return (bits(engine), norms)
    }
    for other in results.dropFirst() {
      #expect(other.0 == results[0].0)
      #expect(other.1 == results[0].1)
    }
  }

  @Test(arguments: Activation.allCases) func trainingLowersTheLoss(_ activation: Activation) throws {
    let engine = try engine(Float.self, activation: activation)
    engine.step = 3
    let first = try step(engine, part: 96).loss
    for _ in 0..<40 {
      engine.step = 3
      try step(engine, part: 96)
    }
    engine.step = 3
    #expect(try step(engine, part: 96).loss < 0.9 * first)
  }

  @Test(arguments: OptimizerDescription.Kind.allCases) func aResumedRunHasTheSameBits(
    _ kind: OptimizerDescription.Kind
  ) throws {
    let straight = try engine(Float.self, kind: kind)
    for _ in 0..<5 { try step(straight, part: 32) }
    let before = try engine(Float.self, kind: kind)
    for _ in 0..<2 { try step(before, part: 32) }
    let resumed = try engine(Float.self, kind: kind, threads: 3)
    try resumed.setParameters(before.parameters)
    try resumed.setOptimizerState(before.optimizerState)
    resumed.step = before.step
    for _ in 0..<3 { try step(resumed, part: 32) }
    #expect(bits(resumed) == bits(straight))
    #expect(resumed.step == 5)
  }

  @Test func optimizerStateIsNamedByParameter() throws {
    #expect(
      try engine(Float.self, kind: .sgd).optimizerState.map(\.name) == [
        "momentum.layers.0.weight", "momentum.layers.1.weight", "momentum.layers.1.bias", "momentum.layers.2.weight",
        "momentum.layers.2.bias",
      ])
    let adam = try engine(Float.self, kind: .adamw).optimizerState.map(\.name)
    #expect(adam.first == "moment1.layers.0.weight" && adam.last == "moment2.layers.2.bias" && adam.count == 10)
  }

  @Test func aShortLastBatchIsABatch() throws {
    let large = try engine(Double.self)
    let small = try engine(Double.self, capacity: 11)
    try step(large, part: 96)
    try small.setParameters(large.parameters)
    try small.setOptimizerState(large.optimizerState)
    small.step = 1
    let a = try step(large, rows: 11, part: 11)
    let b = try step(small, rows: 11, part: 11)
    #expect(a.loss == b.loss && a.report == b.report)
    #expect(large.parameters == small.parameters)
  }

  @Test func rowsForwardedAgainReplaceTheFirst() throws {
    let once = try engine(Float.self)
    let twice = try engine(Float.self)
    try step(once, part: 96)
    try twice.beginBatch(rows: 96)
    _ = try twice.forward(rows: 0..<96) { $0.update(repeating: 9) }
    try twice.setOutputGradient(Tensor(repeating: 1, shape: [96, 5]), rows: 0..<96)
    _ = try twice.forward(rows: 0..<96) { $0.update(repeating: 9) }
    #expect(throws: TrainingError.incompleteBatch(missing: 96)) { try twice.finishStep() }
    try step(twice, part: 96)
    #expect(bits(once) == bits(twice))
  }

  // MARK: - Inference

  @Test func inferenceDoesNotDisturbABatchInProgress() throws {
    let plain = try engine(Float.self)
    let disturbed = try engine(Float.self)
    try step(plain, part: 96)
    try disturbed.beginBatch(rows: 96)
    let outputs = try disturbed.forward(rows: 0..<96) { input in
      for (index, value) in inputs(0, rows: 0..<96).enumerated() { input[index] = Float(value) }
    }
    _ = try disturbed.infer(rows: 300) { $0.update(repeating: 0.5) }
    let labels = Targets<Float>.classes((0..<96).map { Int32($0 % 5) })
    let gradient = try LossFunction(task: .classification).evaluate(outputs: outputs, targets: labels, normalizer: 96)
      .gradient
    try disturbed.setOutputGradient(gradient, rows: 0..<96)
    _ = try disturbed.infer(rows: 2) { $0.update(repeating: 0.5) }
    _ = try disturbed.finishStep()
    #expect(bits(plain) == bits(disturbed))
  }

  @Test func inferenceOfManyRowsIsThatOfEachBlock() throws {
    let engine = try engine(Double.self)
    let noise = LayerHarness.noise(600 * Self.width, seed: 3)
    let all = try engine.infer(rows: 600) { input in
      _ = input.update(fromContentsOf: noise)
    }
    try engine.beginBatch(rows: 5)
    let last = try engine.forward(rows: 0..<5) { input in
      _ = input.update(fromContentsOf: noise[(595 * Self.width)...])
    }
    #expect(all.shape == [600, 5])
    // The same sums of up to 300 products in another order.
    #expect(zip(all.elements.suffix(25), last.elements).allSatisfy { abs($0 - $1) < 1e-13 })
  }

  @Test func inferenceOfNoRowsIsRefused() throws {
    let engine = try engine(Float.self)
    #expect(throws: TrainingError.self) { try engine.infer(rows: 0) { _ in } }
    #expect(throws: TrainingError.tooLarge) { try engine.infer(rows: Int.max / 2) { _ in } }
  }

  // MARK: - Refusals

  @Test(arguments: [0, -1, 97, Int.max]) func aBatchOverCapacityOrEmptyIsRefused(_ rows: Int) throws {
    let engine = try engine(Float.self)
    #expect(throws: TrainingError.batchRows(rows: rows, capacity: 96)) { try engine.beginBatch(rows: rows) }
  }

  @Test(arguments: [0..<0, -1..<3, 5..<11, 10..<12]) func rowsOutsideTheBatchAreRefused(_ rows: Range<Int>) throws {
    let engine = try engine(Float.self)
    try engine.beginBatch(rows: 10)
    #expect(throws: TrainingError.rowsOutsideBatch(rows: rows, batch: 10)) { try engine.forward(rows: rows) { _ in } }
    #expect(throws: TrainingError.rowsOutsideBatch(rows: rows, batch: 10)) {
      try engine.setOutputGradient(Tensor(zeros: [1, 5]), rows: rows)
    }
  }

  @Test(arguments: [Float.nan, .infinity]) func aGradientThatIsNotFiniteIsRefused(_ bad: Float) throws {
    let engine = try engine(Float.self)
    let before = bits(engine)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    var gradient = Tensor<Float>(repeating: 1, shape: [2, 5])
    gradient[7] = bad
    #expect(throws: TrainingError.nonFiniteGradient) { try engine.setOutputGradient(gradient, rows: 0..<2) }
    #expect(throws: TrainingError.incompleteBatch(missing: 2)) { try engine.finishStep() }
    #expect(bits(engine) == before)
  }

  @Test func gradientsThatOverflowInsideLeaveTheWeightsAlone() throws {
    let engine = try engine(Float.self)
    let before = bits(engine)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    try engine.setOutputGradient(
      Tensor(repeating: .greatestFiniteMagnitude, shape: [2, 5]), rows: 0..<2)
    #expect(throws: TrainingError.nonFiniteGradient) { try engine.finishStep() }
    #expect(bits(engine) == before)
    #expect(engine.step == 0)
  }

  @Test func aGradientOfAnotherShapeIsRefused() throws {
    let engine = try engine(Float.self)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    #expect(throws: TrainingError.gradientShape(expected: [2, 5], found: [2, 4])) {
      try engine.setOutputGradient(Tensor(zeros: [2, 4]), rows: 0..<2)
    }
  }

  @Test func aGradientBeforeItsOutputsIsRefused() throws {
    let engine = try engine(Float.self)
    try engine.beginBatch(rows: 4)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    #expect(throws: TrainingError.gradientBeforeForward(rows: 1..<3)) {
      try engine.setOutputGradient(Tensor(zeros: [2, 5]), rows: 1..<3)
    }
    #expect(throws: TrainingError.gradientBeforeForward(rows: 0..<4)) {
      try engine.applyLoss(LossFunction(task: .classification), targets: .classes([0, 0, 0, 0]))
    }
  }

  @Test func aStepWithRowsMissingIsRefused() throws {
    let engine = try engine(Float.self)
    #expect(throws: TrainingError.incompleteBatch(missing: 0)) { try engine.finishStep() }
    try engine.beginBatch(rows: 4)
    _ = try engine.forward(rows: 0..<4) { $0.update(repeating: 1) }
    try engine.setOutputGradient(Tensor(zeros: [3, 5]), rows: 0..<3)
    #expect(throws: TrainingError.incompleteBatch(missing: 1)) { try engine.finishStep() }
  }

  @Test func aStepBeyondTheLastIsRefused() throws {
    let engine = try engine(Float.self, totalSteps: 1)
    try step(engine, part: 96)
    #expect(throws: TrainingError.finished(totalSteps: 1)) { try step(engine, part: 96) }
    engine.step = -1
    #expect(throws: TrainingError.finished(totalSteps: 1)) { try engine.finishStep() }
  }

  @Test func anErrorOfTheFillerLeavesTheRowsWaiting() throws {
    struct Interrupted: Error {}
    let engine = try engine(Float.self)
    try engine.beginBatch(rows: 1)
    #expect(throws: Interrupted.self) { try engine.forward(rows: 0..<1) { _ in throw Interrupted() } }
    #expect(throws: TrainingError.gradientBeforeForward(rows: 0..<1)) {
      try engine.setOutputGradient(Tensor(zeros: [1, 5]), rows: 0..<1)
    }
  }

  @Test func parametersThatDoNotFitAreRefused() throws {
    let engine = try engine(Float.self)
    let before = bits(engine)
    var parameters = engine.parameters
    parameters[0] = Tensor(zeros: [300, 41])
    #expect(
      throws: TrainingError.parameterShape(name: "layers.0.weight", expected: [300, 42], found: [300, 41])
    ) { try engine.setParameters(parameters) }
    #expect(throws: TrainingError.parameterCount(expected: 5, found: 4)) {
      try engine.setParameters(Array(parameters.dropFirst()))
    }
    var poisoned = engine.parameters
    poisoned[2][3] = .nan
    #expect(throws: TrainingError.nonFiniteParameter(name: "layers.1.bias")) { try engine.setParameters(poisoned) }
    #expect(bits(engine) == before)
  }

  @Test func optimizerStateThatDoesNotFitIsRefused() throws {
    let engine = try engine(Float.self)
    #expect(throws: TrainingError.self) { try engine.setOptimizerState([]) }
    var renamed = engine.optimizerState
    renamed[0].name = "moment1.layers.0.weight"
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(renamed) }
    var reshaped = engine.optimizerState
    reshaped[1].tensor = Tensor(zeros: [1])
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(reshaped) }
    var poisoned = engine.optimizerState
    poisoned[2].tensor[0] = .infinity
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(poisoned) }
  }

  // MARK: - Memory

  @Test func memoryCountsEveryBuffer() throws {
    // 3 → 2 outputs, no hidden layer, 4 rows: weight 2 × 4 three times (gradient, momentum), input 4 × 4, output 4 × 2
    // twice (gradient), inference 256 × 2 and inputs 4 × 4.
    let description = ModelDescription.mlp(
      MLPDescription(
        input: HomogeneousColumns(features: 3, padding: 0), hidden: [], activation: .relu, outputs: 2))
    let optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 1, momentum: 0.5, nesterov: false, weightDecay: 0, clipNorm: nil)
    let elements = 3 * 8 + 16 + 2 * 8 + 512 + 16
    #expect(
      TrainingEngine<Float>.memoryEstimate(model: description, optimizer: optimizer, batchRows: 4) == 4 * elements)
    #expect(
      TrainingEngine<Double>.memoryEstimate(model: description, optimizer: optimizer, batchRows: 4) == 8 * elements)
    #expect(TrainingEngine<Float>.memoryEstimate(model: description, optimizer: optimizer, batchRows: Int.max) == nil)
    #expect(TrainingEngine<Float>.memoryEstimate(model: description, optimizer: optimizer, batchRows: 0) == nil)
  }
}
