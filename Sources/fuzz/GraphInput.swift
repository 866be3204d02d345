import Foundation
import Models
import Numerics
import Training

/// Input bytes as the document of a graph of layers. What is taken is built, estimated, and where it is small trained for a step and
/// asked for outputs, so that a graph that validation should have refused shows as a trap.
enum GraphInput {
  private static let compute = Compute(threads: 1)
  private static let samples = 3

  static func run(_ input: Data) {
    guard let graph = try? JSONDecoder().decode(ModelGraph.self, from: input) else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let document = try? encoder.encode(graph) else { preconditionFailure("a graph that cannot be written") }
    precondition(
      (try? JSONDecoder().decode(ModelGraph.self, from: document)) == graph, "a graph changed when it was written")
    let model = Model(graph)
    precondition(model.structure.parameters.allSatisfy { $0.shape.allSatisfy { $0 > 0 } }, "a weight without elements")
    let estimate = TrainingEngine<Float>.memoryEstimate(
      model, optimizer: optimizer, batchRows: samples, partRows: 2)
    guard let estimate, estimate < 1 << 22 else { return }
    // A graph of which nothing is trained has no engine.
    try? train(graph, model)
  }

  private static func train(_ graph: ModelGraph, _ model: Model) throws {
    let engine = try TrainingEngine<Float>(
      model: graph, optimizer: optimizer, schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 2,
      batchRows: samples, partRows: 2, compute: compute,
      parameters: model.structure.parameters.map { Tensor(repeating: 0.1, shape: $0.shape) })
    try engine.beginBatch(rows: samples)
    for rows in [0..<2, 2..<3] {
      let outputs = try engine.forward(rows: rows, sequences: layout(graph, rows.count)) { $0.update(repeating: 0.5) }
      try engine.setOutputGradient(Tensor(repeating: 0.01, shape: outputs.shape), rows: rows)
    }
    _ = try engine.finishStep()
    _ = try engine.infer(rows: samples, sequences: layout(graph, samples)) { $0.update(repeating: 0.5) }
  }

  private static func layout(_ graph: ModelGraph, _ samples: Int) -> SequenceLayout? {
    graph.maximumTokens.map { tokens in
      let lengths = (0..<samples).map { Int32(min(tokens, 1 + $0)) }
      return SequenceLayout(lengths: lengths, pooled: lengths.map { $0 - 1 })
    }
  }

  private static let optimizer = OptimizerDescription(
    kind: .sgd, learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1)

  static func seeds() throws -> [Data] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return try graphs().map { try encoder.encode($0) }
  }

  private static func graphs() throws -> [ModelGraph] {
    let sizes = try TransformerSizes(
      width: 4, heads: 2, keyValueHeads: 1, headWidth: 2, hidden: 3, activation: .gelu, normEpsilon: 1e-6,
      hasAttentionBiases: true, hasAttentionOutputBias: false, hasMLPBiases: false, isRotary: true)
    let adaptation = LowRankAdaptation(rank: 1, alpha: 2, targets: ["q", "down"])
    var decoder = GraphBuilder(
      input: sizes.residual, maximumTokens: 3, rotaryFrequencies: [0.5], trained: .lora(adaptation), recomputes: true)
    let names = PreNormBlockNames(
      pooling: "pool", attention: "attention", gating: "gating", inputNorm: "norm", query: "q", key: "k", value: "v",
      attentionOutput: "o", attentionNorm: "norm", gate: "gate", up: "up", down: "down")
    let stream = decoder.addPreNormGatedBlock(0, names, sizes, from: GraphBuilder.input, poolsToken: true)
    decoder.addHead("head", from: stream, outputs: 2, hasBias: true)
    let plain = try TransformerSizes(
      width: 4, heads: 2, keyValueHeads: 2, headWidth: 2, hidden: 3, activation: .tanh, normEpsilon: 1e-6,
      hasAttentionBiases: true, hasAttentionOutputBias: true, hasMLPBiases: true, isRotary: false)
    var encoder = GraphBuilder(input: plain.residual, maximumTokens: 3)
    let encoderNames = PostNormBlockNames(
      pooling: "pool", attention: "attention", query: "q", key: "k", value: "v", attentionOutput: "o",
      attentionNorm: "norm", inner: "inner", outer: "outer", outputNorm: "last")
    let encoded = encoder.addPostNormBlock(0, encoderNames, plain, from: GraphBuilder.input, poolsToken: false)
    encoder.addHead(
      "head", from: encoder.add("mean", .mean(PoolingOperation(from: encoded))), outputs: 2, hasBias: true)
    return try [
      .perceptron(
        input: HomogeneousColumns(features: 2, padding: 1), adapter: 2, hidden: [3], activation: .relu, outputs: 2),
      decoder.graph(), encoder.graph(),
    ]
  }
}
