import Models
import Numerics
import Testing

@testable import Training

@Suite struct TrainingEngineTests {
  @Test func microBatchesGiveTheWholeBatchsStep() throws {
    let whole = try EngineHarness.engine(Double.self)
    let parts = try EngineHarness.engine(Double.self)
    for _ in 0..<3 {
      let a = try EngineHarness.step(whole, part: 96)
      let b = try EngineHarness.step(parts, part: 16)
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
      let engine = try EngineHarness.engine(Float.self, kind: kind, threads: threads)
      let norms = try (0..<3).map { _ in try EngineHarness.step(engine, part: 40).report.gradientNorm }
      return (EngineHarness.bits(engine), norms)
    }
    for other in results.dropFirst() {
      #expect(other.0 == results[0].0)
      #expect(other.1 == results[0].1)
    }
  }

  @Test(arguments: Activation.allCases) func trainingLowersTheLoss(_ activation: Activation) throws {
    let engine = try EngineHarness.engine(Float.self, kind: .adamw, activation: activation)
    engine.step = 3
    let first = try EngineHarness.step(engine, part: 96).loss
    for _ in 0..<10 {
      engine.step = 3
      try EngineHarness.step(engine, part: 96)
    }
    engine.step = 3
    #expect(try EngineHarness.step(engine, part: 96).loss < 0.9 * first)
  }

  @Test(arguments: OptimizerDescription.Kind.allCases) func aResumedRunHasTheSameBits(
    _ kind: OptimizerDescription.Kind
  ) throws {
    let straight = try EngineHarness.engine(Float.self, kind: kind)
    for _ in 0..<5 { try EngineHarness.step(straight, part: 32) }
    let before = try EngineHarness.engine(Float.self, kind: kind)
    for _ in 0..<2 { try EngineHarness.step(before, part: 32) }
    let resumed = try EngineHarness.engine(Float.self, kind: kind, threads: 3)
    try resumed.setParameters(before.parameters)
    try resumed.setOptimizerState(before.optimizerState)
    resumed.step = before.step
    for _ in 0..<3 { try EngineHarness.step(resumed, part: 32) }
    #expect(EngineHarness.bits(resumed) == EngineHarness.bits(straight))
    #expect(resumed.step == 5)
  }

  @Test func optimizerStateIsNamedByParameter() throws {
    #expect(
      try EngineHarness.engine(Float.self, kind: .sgd).optimizerState.map(\.name) == [
        "momentum.layers.0.weight", "momentum.layers.1.weight", "momentum.layers.1.bias", "momentum.layers.2.weight",
        "momentum.layers.2.bias",
      ])
    let adam = try EngineHarness.engine(Float.self, kind: .adamw).optimizerState.map(\.name)
    #expect(adam.first == "moment1.layers.0.weight" && adam.last == "moment2.layers.2.bias" && adam.count == 10)
  }

  @Test func aShortLastBatchIsABatch() throws {
    let large = try EngineHarness.engine(Double.self)
    let small = try EngineHarness.engine(Double.self, capacity: 11)
    try EngineHarness.step(large, part: 96)
    try small.setParameters(large.parameters)
    try small.setOptimizerState(large.optimizerState)
    small.step = 1
    let a = try EngineHarness.step(large, rows: 11, part: 11)
    let b = try EngineHarness.step(small, rows: 11, part: 11)
    #expect(a.loss == b.loss && a.report == b.report)
    #expect(large.parameters == small.parameters)
  }

  @Test func rowsForwardedAgainReplaceTheFirst() throws {
    let once = try EngineHarness.engine(Float.self)
    let twice = try EngineHarness.engine(Float.self)
    try EngineHarness.step(once, part: 96)
    try twice.beginBatch(rows: 96)
    _ = try twice.forward(rows: 0..<96) { $0.update(repeating: 9) }
    try twice.setOutputGradient(Tensor(repeating: 1, shape: [96, 5]), rows: 0..<96)
    _ = try twice.forward(rows: 0..<96) { $0.update(repeating: 9) }
    #expect(throws: TrainingError.incompleteBatch(missing: 96)) { try twice.finishStep() }
    try EngineHarness.step(twice, part: 96)
    #expect(EngineHarness.bits(once) == EngineHarness.bits(twice))
  }

  @Test func memoryCountsEveryBuffer() throws {
    // 3 → 2 outputs, no hidden layer, 4 rows: weight 2 × 4 three times (gradient, momentum), input 4 × 4, output gradient
    // 4 × 2, outputs and those of inference 256 × 2 and its inputs 4 × 4.
    let model = try Model(
      .perceptron(input: HomogeneousColumns(features: 3, padding: 0), hidden: [], activation: .relu, outputs: 2))
    let optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 1, momentum: 0.5, nesterov: false, weightDecay: 0, clipNorm: nil)
    let elements = 3 * 8 + 16 + 8 + 512 + 16
    #expect(
      TrainingEngine<Float>.memoryEstimate(model, optimizer: optimizer, batchRows: 4) == 4 * elements)
    #expect(
      TrainingEngine<Double>.memoryEstimate(model, optimizer: optimizer, batchRows: 4) == 8 * elements)
    #expect(TrainingEngine<Float>.memoryEstimate(model, optimizer: optimizer, batchRows: Int.max) == nil)
    #expect(TrainingEngine<Float>.memoryEstimate(model, optimizer: optimizer, batchRows: 0) == nil)
  }
}

/// Weights and optimizer state, one tensor at a time.
@Suite struct EngineLoadingTests {
  private func engine(_ loading: (Int, UnsafeMutableBufferPointer<Float>) throws -> Void) throws -> TrainingEngine<
    Float
  > {
    try TrainingEngine<Float>(
      model: .perceptron(
        input: HomogeneousColumns(features: 40, padding: 1), hidden: [300, 70], activation: .gelu, outputs: 5),
      optimizer: OptimizerDescription(
        kind: .adamw, learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 0.01, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0.1, decay: .linear), totalSteps: 20, batchRows: 96,
      compute: Compute(threads: 2), loading: loading)
  }

  @Test func whatIsReadOneByOneMakesTheSameEngine() throws {
    let original = try EngineHarness.engine(Float.self, kind: .adamw)
    for _ in 0..<2 { try EngineHarness.step(original, part: 32) }
    let copy = try engine { index, target in
      original.withParameter(index) { _ = target.update(fromContentsOf: $0) }
    }
    try copy.loadOptimizerState { index, target in
      original.withOptimizerState(index) { _ = target.update(fromContentsOf: $0) }
    }
    copy.step = original.step
    #expect(copy.optimizerStateShapes.map(\.name) == original.optimizerState.map(\.name))
    #expect(copy.optimizerStateShapes.map(\.shape) == original.optimizerState.map(\.tensor.shape))
    try EngineHarness.step(original, part: 32)
    try EngineHarness.step(copy, part: 32)
    #expect(EngineHarness.bits(copy) == EngineHarness.bits(original))
  }

  @Test(arguments: [Float.nan, .infinity]) func aLoadedParameterThatIsNotFiniteIsRefused(_ bad: Float) throws {
    #expect(throws: TrainingError.nonFiniteParameter(name: "layers.1.bias")) {
      try engine { index, target in target.update(repeating: index == 2 ? bad : 0) }
    }
  }

  @Test func loadedOptimizerStateThatIsNotFiniteIsRefused() throws {
    let engine = try engine { _, target in target.update(repeating: 0) }
    #expect(throws: TrainingError.optimizerState("moment1.layers.1.weight holds NaN or an infinity")) {
      try engine.loadOptimizerState { index, target in target.update(repeating: index == 1 ? .nan : 0) }
    }
  }

  @Test func anErrorOfTheLoaderEndsTheLoading() throws {
    struct Interrupted: Error {}
    #expect(throws: Interrupted.self) { try engine { _, _ in throw Interrupted() } }
  }
}

@Suite struct InferenceTests {
  @Test func inferenceDoesNotDisturbABatchInProgress() throws {
    let plain = try EngineHarness.engine(Float.self)
    let disturbed = try EngineHarness.engine(Float.self)
    try EngineHarness.step(plain, part: 96)
    try disturbed.beginBatch(rows: 96)
    let outputs = try disturbed.forward(rows: 0..<96) { input in
      for (index, value) in EngineHarness.inputs(0, rows: 0..<96).enumerated() { input[index] = Float(value) }
    }
    _ = try disturbed.infer(rows: 300) { $0.update(repeating: 0.5) }
    let labels = Targets<Float>.classes((0..<96).map { Int32($0 % 5) })
    let gradient = try LossFunction(task: .classification).evaluate(outputs: outputs, targets: labels, normalizer: 96)
      .gradient
    try disturbed.setOutputGradient(gradient, rows: 0..<96)
    _ = try disturbed.infer(rows: 2) { $0.update(repeating: 0.5) }
    _ = try disturbed.finishStep()
    #expect(EngineHarness.bits(plain) == EngineHarness.bits(disturbed))
  }

  @Test func inferenceOfManyRowsIsThatOfEachBlock() throws {
    let engine = try EngineHarness.engine(Double.self)
    let noise = LayerHarness.noise(600 * EngineHarness.width, seed: 3)
    let all = try engine.infer(rows: 600) { input in
      _ = input.update(fromContentsOf: noise)
    }
    try engine.beginBatch(rows: 5)
    let last = try engine.forward(rows: 0..<5) { input in
      _ = input.update(fromContentsOf: noise[(595 * EngineHarness.width)...])
    }
    #expect(all.shape == [600, 5])
    // The same sums of up to 300 products in another order.
    #expect(zip(all.elements.suffix(25), last.elements).allSatisfy { abs($0 - $1) < 1e-13 })
  }

  @Test func inferenceOfNoRowsIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.self) { try engine.infer(rows: 0) { _ in } }
    #expect(throws: TrainingError.tooLarge) { try engine.infer(rows: Int.max / 2) { _ in } }
  }
}
