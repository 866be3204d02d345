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
