import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// The engine on whole transformers, as the graph builders make them.
@Suite struct TransformerEngineTests {
  private static let width = 8
  private static let samples = 6

  enum Kind: String, CaseIterable, Sendable {
    case bert, bertMean, bertTokens, bertHead, bertLora, llama, llamaLanguageModel, llamaLora

    var isPerToken: Bool { self == .bertTokens || self == .llamaLanguageModel || self == .llamaLora }
  }

  private func description(_ kind: Kind, recomputes: Bool = false) -> TransformerDescription {
    let isLlama = kind.rawValue.hasPrefix("llama")
    let pooling: TokenPooling =
      switch kind {
      case .bert, .bertHead, .bertLora: .cls
      case .bertMean: .mean
      case .llama: .last
      case .bertTokens, .llamaLanguageModel, .llamaLora: .none
      }
    let trained: TrainedPart =
      switch kind {
      case .bertHead: .head
      case .bertLora: .lora(LowRankAdaptation(rank: 2, alpha: 4, targets: ["query", "value"]))
      case .llamaLora: .lora(LowRankAdaptation(rank: 2, alpha: 4, targets: ["q_proj", "down_proj"]))
      default: .all
      }
    return TransformerDescription(
      family: isLlama ? .llama : .bert, width: Self.width, blocks: 3, heads: 4, keyValueHeads: isLlama ? 2 : 4,
      headWidth: 2, hidden: 12, activation: isLlama ? .silu : .gelu, normEpsilon: 1e-6,
      rotary: isLlama ? RotaryDescription(frequencies: [0.7]) : nil, hasAttentionBiases: !isLlama,
      hasMLPBiases: !isLlama,
      head: TransformerHead(
        pooling: pooling, hasPooler: kind == .bert, outputs: 5, hasBias: !isLlama,
        isLanguageModel: kind == .llamaLanguageModel || kind == .llamaLora),
      trained: trained, maximumTokens: SequenceHarness.maximumTokens, recomputes: recomputes)
  }

  private func engine<Element: FloatingElement>(
    _: Element.Type, _ kind: Kind, recomputes: Bool = false, partRows: Int = 2, threads: Int = 2
  ) throws -> TrainingEngine<Element> {
    try engine(
      ModelDescription.transformer(description(kind, recomputes: recomputes)).graph(), partRows: partRows,
      threads: threads)
  }

  private func engine<Element: FloatingElement>(
    _ graph: ModelGraph, partRows: Int = 2, threads: Int = 2
  ) throws -> TrainingEngine<Element> {
    try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: .adamw, learningRate: 0.01, momentum: 0, nesterov: false, weightDecay: 0.01, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 10, batchRows: Self.samples,
      partRows: partRows, compute: Compute(threads: threads),
      parameters: Model(graph).structure.parameters.enumerated().map { index, parameter in
        Tensor(
          LayerHarness.noise(parameter.shape.reduce(1, *), seed: UInt64(index + 1)).map { Element($0) },
          shape: parameter.shape)
      })
  }

  private func step<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, part: Int, ahead: Int = 2
  ) throws -> StepReport {
    let step = engine.step
    try engine.beginBatch(rows: Self.samples)
    var waiting: [(Range<Int>, Tensor<Element>)] = []
    func answerFirst() throws {
      let (rows, outputs) = waiting.removeFirst()
      try engine.setOutputGradient(
        Tensor(outputs.elements.map { $0 / Element(Self.samples) }, shape: outputs.shape), rows: rows)
    }
    for start in stride(from: 0, to: Self.samples, by: part) {
      let rows = start..<start + part
      if !engine.hasRoom { try answerFirst() }
      waiting.append(
        (
          rows,
          try engine.forward(rows: rows, sequences: SequenceHarness.layout(step, rows)) { target in
            var next = 0
            for row in rows {
              let count = SequenceHarness.lengths(step, row..<row + 1)[0] * Self.width
              for value in LayerHarness.noise(count, seed: UInt64(500 + 10 * step + row)) {
                target[next] = Element(value)
                next += 1
              }
            }
          }
        ))
      if waiting.count == ahead { try answerFirst() }
    }
    while !waiting.isEmpty { try answerFirst() }
    return try engine.finishStep()
  }

  @Test(arguments: Kind.allCases) func computingAgainGivesTheSameBits(_ kind: Kind) throws {
    let kept = try engine(Float.self, kind)
    let again = try engine(Float.self, kind, recomputes: true)
    for _ in 0..<3 {
      let report = try step(kept, part: 2)
      #expect(try step(again, part: 2) == report)
      #expect(report.gradientNorm > 1e-3)
    }
    #expect(EngineHarness.bits(kept) == EngineHarness.bits(again))
  }

  /// Whatever ranges of layers a graph names, what crosses their borders is kept and the rest comes out the same again.
  @Test(arguments: Kind.allCases) func anyBlocksGiveTheSameBits(_ kind: Kind) throws {
    let graph = try ModelDescription.transformer(description(kind)).graph()
    let end = graph.layers.count
    let kept: TrainingEngine<Float> = try engine(graph)
    let report = try step(kept, part: 2)
    for blocks in [[0..<end], [0..<1, 1..<4, 4..<5, 6..<end - 1], [3..<end], [1..<2, 5..<11], [2..<end - 2]] {
      let other = try ModelGraph(
        spaces: graph.spaces, maximumTokens: graph.maximumTokens, rotaryFrequencies: graph.rotaryFrequencies,
        layers: graph.layers, recomputedBlocks: blocks)
      let again: TrainingEngine<Float> = try engine(other)
      #expect(try step(again, part: 2) == report)
      #expect(EngineHarness.bits(kept) == EngineHarness.bits(again), "\(blocks)")
    }
  }

  @Test(arguments: Kind.allCases, [false, true]) func bitsDoNotDependOnThreads(
    _ kind: Kind, _ recomputes: Bool
  ) throws {
    let results = try [1, 2, 5].map { threads in
      let engine = try engine(Float.self, kind, recomputes: recomputes, threads: threads)
      for _ in 0..<2 { _ = try step(engine, part: 2) }
      return EngineHarness.bits(engine)
    }
    #expect(results[0] == results[1] && results[0] == results[2])
  }

  /// A gradient entry adds the terms of some 30 tokens, each about 100 roundings from the input, in another order: less than
  /// 1e-13 of the norm.
  @Test(arguments: Kind.allCases) func partsGiveTheWholeBatchsGradientNorm(_ kind: Kind) throws {
    let whole = try step(engine(Double.self, kind, partRows: 6), part: 6, ahead: 1)
    let parts = try step(engine(Double.self, kind), part: 2)
    #expect(abs(whole.gradientNorm - parts.gradientNorm) <= 1e-12 * whole.gradientNorm)
  }

  @Test(arguments: Kind.allCases) func whatIsFrozenStaysAndTheRestMoves(_ kind: Kind) throws {
    let engine = try engine(Float.self, kind)
    let before = engine.parameters
    _ = try step(engine, part: 2)
    for (index, parameter) in engine.model.structure.parameters.enumerated() {
      #expect((engine.parameters[index] == before[index]) == !parameter.isTrained, "\(parameter.name)")
    }
  }

  @Test(arguments: [Kind.bert, .llamaLanguageModel]) func computingAgainTakesLessMemory(_ kind: Kind) throws {
    let sgd = OptimizerDescription(
      kind: .sgd, learningRate: 0.01, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    // 300 samples of 9 tokens a part, so that activations outweigh weights and the block of inference.
    let estimates = try [false, true].map { recomputes in
      TrainingEngine<Float>.memoryEstimate(
        try Model(ModelDescription.transformer(description(kind, recomputes: recomputes)).graph()), optimizer: sgd,
        batchRows: 1000, partRows: 300)
    }
    let (kept, again) = (try #require(estimates[0]), try #require(estimates[1]))
    #expect(Double(again) < 0.6 * Double(kept))
  }

  /// One table whatever the number of blocks, and none before a pass.
  @Test func rotaryTablesAreMadeOnceWhenTheEngineFirstNeedsThem() throws {
    let model = try Model(ModelDescription.transformer(description(.llama)).graph())
    _ = TrainingEngine<Float>.memoryEstimate(model, optimizer: nil, batchRows: 4)
    #expect(model.madeTableCount == 0)
    let engine = try engine(Float.self, .llama)
    #expect(engine.model.madeTableCount == 0)
    _ = try step(engine, part: 2)
    #expect(engine.model.madeTableCount == 1)
    // 256 fine and 1 coarse position, a cosine and a sine of one plane.
    #expect(model.tableBytes == 257 * 2 * 8)
  }
}
