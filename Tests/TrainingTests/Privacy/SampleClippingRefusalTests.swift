import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// What is left out or refused.
@Suite struct SampleClippingRefusalTests {
  private func engine(
    _ graph: ModelGraph, clipNorm: Double = 1, optimizerClip: Double? = nil, momentum: Double = 0
  ) throws -> TrainingEngine<Double> {
    try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: momentum, nesterov: false, weightDecay: 0, clipNorm: optimizerClip),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 10, batchRows: 4,
      sampleClipping: SampleClipping(clipNorm: clipNorm, expectedBatch: 2), compute: Compute(threads: 1),
      parameters: Model(graph).structure.parameters.map { Tensor<Double>(repeating: 0.5, shape: $0.shape) })
  }

  private func perceptron() throws -> ModelGraph {
    try .perceptron(
      input: HomogeneousColumns(features: 3, padding: 0), hidden: [2], activation: .relu, outputs: 1)
  }

  @Test func `A batch without rows is a step of which the gradient is what is added to it`() throws {
    let engine = try engine(try perceptron(), momentum: 0.5)
    let before = engine.parameters
    try engine.beginBatch(rows: 2)
    let outputs = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    try engine.setOutputGradient(Tensor(repeating: 1, shape: outputs.shape), rows: 0..<2)
    _ = try engine.finishStep()
    let middle = engine.parameters
    let correction = ControlVariates<Double>(
      difference: before.map { Tensor(repeating: 0.25, shape: $0.shape) })
    try engine.beginBatch(rows: 0)
    _ = try engine.finishStep(correction: correction)
    #expect(engine.step == 2)
    for (start, (one, two)) in zip(before, zip(middle, engine.parameters)) {
      for index in 0..<start.count {
        // Momentum: half the first step again, and what was added.
        #expect(abs((one[index] - two[index]) - (0.5 * (start[index] - one[index]) + 0.25)) < 1e-15)
      }
    }
  }

  @Test func `A step needs a batch that has begun`() throws {
    let engine = try engine(try perceptron())
    #expect(throws: TrainingError.incompleteBatch(missing: 0)) { try engine.finishStep() }
  }

  @Test func `Without clipping a batch needs rows`() throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.batchRows(rows: 0, capacity: 96)) { try engine.beginBatch(rows: 0) }
  }

  @Test func `A trained layer whose norms are not known is refused by name`() throws {
    let graph = try ModelDescription.transformer(
      TransformerDescription(
        family: .bert, width: 8, blocks: 1, heads: 4, keyValueHeads: 4, headWidth: 2, hidden: 12, activation: .gelu,
        normEpsilon: 1e-6, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true,
        head: TransformerHead(pooling: .cls, hasPooler: false, outputs: 2, hasBias: true, isLanguageModel: false),
        trained: .all, maximumTokens: 4, recomputes: false)
    ).graph()
    let error = TrainingError.noSampleNorms(layer: "bert.encoder.layer.0.attention.output.LayerNorm")
    #expect(throws: error) { try engine(graph) }
    #expect(error.description.contains("lora"))
  }

  @Test func `A clip norm of the optimizer beside it is refused`() throws {
    #expect(throws: TrainingError.self) { try engine(try perceptron(), optimizerClip: 1) }
  }

  @Test(arguments: [0, -1, Double.infinity, .nan]) func `A clip norm or batch that is not a positive number is refused`(
    _ bad: Double
  ) {
    #expect(throws: TrainingError.self) { try SampleClipping(clipNorm: bad, expectedBatch: 1) }
    #expect(throws: TrainingError.self) { try SampleClipping(clipNorm: 1, expectedBatch: bad) }
  }

  @Test func `A sample whose norm overflows counts for nothing, and the step is that of the others`() throws {
    let engines = try (0..<2).map { _ in try engine(try perceptron()) }
    for (engine, wild) in zip(engines, [1e200, 0]) {
      try engine.beginBatch(rows: 2)
      let outputs = try engine.forward(rows: 0..<2) { inputs in
        for index in 0..<4 { (inputs[index], inputs[4 + index]) = (1, wild) }
      }
      #expect(outputs.allFinite)
      try engine.setOutputGradient(Tensor([1, wild], shape: outputs.shape), rows: 0..<2)
      _ = try engine.finishStep()
    }
    #expect(engines[0].parameters == engines[1].parameters && engines[0].step == 1)
    #expect(engines[0].parameters[0][0] != 0.5)
  }
}
