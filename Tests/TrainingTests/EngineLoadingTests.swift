import Models
import Numerics
import Testing

@testable import Training

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
