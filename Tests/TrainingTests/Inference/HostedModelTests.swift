import Models
import Numerics
import Testing

@testable import Training

@Suite struct HostedModelTests {
  /// An engine's own inference is the same code on the same weights.
  @Test func answersWithTheEnginesBits() throws {
    let engine = try EngineHarness.engine(Float.self)
    try EngineHarness.step(engine, part: 96)
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 40, padding: 1), hidden: [300, 70], activation: .gelu, outputs: 5)
    let hosted = try HostedModel(graph, compute: Compute(threads: 2), parameters: engine.parameters)
    let noise = LayerHarness.noise(600 * EngineHarness.width, seed: 3).map { Float($0) }
    for rows in [1, 600, 7] {
      func fill(_ target: UnsafeMutableBufferPointer<Float>) {
        _ = target.update(fromContentsOf: noise.prefix(rows * EngineHarness.width))
      }
      #expect(try hosted.infer(rows: rows, filling: fill) == engine.infer(rows: rows, filling: fill))
    }
  }

  @Test func weightsAreWrittenToWhereTheyStay() throws {
    let harness = try GenerationHarness<Float>(.lowRank)
    let parameters = GenerationHarness<Float>.parameters(harness.graph)
    let loaded = try HostedModel<Float>(harness.graph, compute: Compute(threads: 2)) { index, elements in
      parameters[index].withUnsafeBufferPointer { _ = elements.update(fromContentsOf: $0) }
    }
    let session = GenerationHarness<Float>.session(1, tokens: 12)
    let outputs = try loaded.infer(rows: 1, sequences: SequenceLayout(offsets: [0, 12], pooled: [])) { target in
      session.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
    #expect(try outputs == harness.whole(session))
  }

  @Test func weightsAndInputsThatDoNotFitAreRefused() throws {
    let harness = try GenerationHarness<Float>(.oneBlock)
    var parameters = GenerationHarness<Float>.parameters(harness.graph)
    let compute = Compute(threads: 1)
    let name = Model(harness.graph).structure.parameters[1].name
    #expect(throws: TrainingError.parameterCount(expected: parameters.count, found: 1)) {
      try HostedModel(harness.graph, compute: compute, parameters: [parameters[0]])
    }
    parameters[1][3] = .nan
    #expect(throws: TrainingError.nonFiniteParameter(name: name)) {
      try HostedModel(harness.graph, compute: compute, parameters: parameters)
    }
    #expect(throws: TrainingError.nonFiniteParameter(name: name)) {
      try HostedModel<Float>(harness.graph, compute: compute) { index, elements in
        parameters[index].withUnsafeBufferPointer { _ = elements.update(fromContentsOf: $0) }
      }
    }
    #expect {
      try harness.hosted.infer(rows: 1) { _ in }
    } throws: { error in
      if case .sequences = error as? TrainingError { return true }
      return false
    }
  }

  /// Weights, a block of rows of the two inner values and the output (input rows come beside them), and the inputs.
  @Test func theEstimateOfRowsIsWeightsAndOneBlock() throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 40, padding: 1), hidden: [300, 70], activation: .gelu, outputs: 5)
    let weights = 300 * 42 + 70 * 300 + 70 + 5 * 70 + 5
    #expect(HostedModel<Float>.memoryEstimate(graph) == 4 * (weights + 256 * (300 + 70 + 5)))
    #expect(
      HostedModel<Double>.memoryEstimate(graph, inputRows: 1000) == 8 * (weights + 256 * (300 + 70 + 5) + 1000 * 42))
    #expect(HostedModel<Float>.memoryEstimate(graph, inputRows: .max) == nil)
  }

  /// A decoder that only generates needs a block of 1,024 tokens however long its sessions are.
  @Test func theEstimateOfADecoderThatGeneratesIsThatOfItsBlock() throws {
    let short = try GenerationHarness<Float>(.groupedHeads, maximumTokens: 256)
    let long = try GenerationHarness<Float>(.groupedHeads, maximumTokens: 65536)
    let tables = try #require(long.hosted.model.tableBytes) - #require(short.hosted.model.tableBytes)
    let estimate = try #require(HostedModel<Float>.memoryEstimate(short.graph))
    #expect(HostedModel<Float>.memoryEstimate(long.graph, longestSample: 1) == estimate + tables)
    #expect(try #require(HostedModel<Float>.memoryEstimate(long.graph)) > 20 * estimate)
  }
}
