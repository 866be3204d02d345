import Models
import Numerics
import Protocol
import Testing

@testable import Training

@Suite struct GenerationRefusalTests {
  private typealias Harness = GenerationHarness<Float>

  /// A part of two does not fit: neither session is changed, and both go on to the bits of sessions that nothing happened to.
  @Test func aFullCacheLeavesAllAsTheyWere() throws {
    let harness = try Harness(.groupedHeads)
    let session = Harness.session(1, tokens: 40)
    let caches = try [40, 20, 40, 20].map { try harness.hosted.makeCache(capacity: $0) }
    for pair in [0..<2, 2..<4] {
      _ = try harness.hosted.extend(caches[pair].map { ($0, session.slice(rows: 0..<15)) })
    }
    #expect(throws: TrainingError.cacheFull(part: 1, tokens: 21, capacity: 20)) {
      try harness.hosted.extend([
        (caches[0], session.slice(rows: 15..<40)), (caches[1], session.slice(rows: 15..<21)),
      ])
    }
    #expect(caches.map(\.count) == [15, 15, 15, 15])
    let next = session.slice(rows: 15..<20)
    #expect(
      try harness.hosted.extend([(caches[0], next), (caches[1], next)])
        == harness.hosted.extend([(caches[2], next), (caches[3], next)]))
    #expect(throws: TrainingError.cacheFull(part: 0, tokens: 21, capacity: 20)) {
      try harness.hosted.extend([(caches[1], session.slice(rows: 0..<1))])
    }
  }

  @Test func partsThatDoNotFit() throws {
    let harness = try Harness(.groupedHeads)
    let cache = try harness.hosted.makeCache(capacity: 10)
    let other = try Harness(.manyHeads).hosted.makeCache(capacity: 10)
    let rows = Harness.session(1, tokens: 2)
    for parts in [
      [(cache, Tensor<Float>(zeros: [0, Harness.width]))], [(cache, Tensor(zeros: [2, Harness.width - 1]))],
      [(cache, Tensor(zeros: [Harness.width]))], [(cache, Tensor(zeros: [1, Harness.width, 1]))],
      [(cache, rows), (cache, rows)], [(cache, rows), (other, rows)],
    ] {
      #expect {
        try harness.hosted.extend(parts.map { (cache: $0.0, rows: $0.1) })
      } throws: { error in
        if case .generationPart(parts.count - 1, _) = error as? TrainingError { return true }
        return false
      }
    }
    #expect(cache.count == 0 && cache.bytes == 0)
    #expect(try harness.hosted.extend([]).shape == [0, Harness.outputs])
  }

  @Test(arguments: [0, -1, 601, Int.max, Int.min]) func aCapacityOutOfRange(_ capacity: Int) throws {
    let hosted = try Harness(.groupedHeads).hosted
    #expect {
      try hosted.makeCache(capacity: capacity)
    } throws: { error in
      if case .invalidSetting = error as? TrainingError { return true }
      return false
    }
  }

  /// Outputs by sample, attention in both directions, and no attention at all.
  @Test func modelsThatAreNoDecoders() throws {
    func transformer(_ family: TransformerFamily, _ pooling: TokenPooling) throws -> ModelGraph {
      try ModelDescription.transformer(
        TransformerDescription(
          family: family, width: 8, blocks: 1, heads: 2, keyValueHeads: 2, headWidth: 4, hidden: 12,
          activation: family == .llama ? .silu : .gelu, normEpsilon: 1e-6,
          rotary: family == .llama ? RotaryDescription(frequencies: [1, 0.1]) : nil, hasAttentionBiases: false,
          hasMLPBiases: false,
          head: TransformerHead(
            pooling: pooling, hasPooler: false, outputs: 3, hasBias: false, isLanguageModel: false),
          trained: .all, maximumTokens: 16, recomputes: false)
      ).graph()
    }
    var builder = GraphBuilder(input: Space(id: SpaceID("in"), width: 4), maximumTokens: 9)
    builder.addHead("head", from: GraphBuilder.input, outputs: 2, hasBias: true)
    let graphs = [
      try transformer(.llama, .last), try transformer(.bert, .none), try transformer(.bert, .cls), try builder.graph(),
      try ModelGraph.perceptron(
        input: HomogeneousColumns(features: 3, padding: 0), hidden: [4], activation: .relu, outputs: 2),
    ]
    for graph in graphs {
      let hosted = try HostedModel(graph, compute: Compute(threads: 1), parameters: Harness.parameters(graph))
      func isAboutGeneration(_ error: any Error) -> Bool {
        if case .notGenerative = error as? TrainingError { return true }
        return false
      }
      #expect(performing: { try hosted.makeCache(capacity: 1) }, throws: isAboutGeneration)
      #expect(performing: { try hosted.extend([]) }, throws: isAboutGeneration)
      #expect(GenerationCache<Float>.bytesNeeded(graph, tokens: 1) == nil)
    }
  }
}
