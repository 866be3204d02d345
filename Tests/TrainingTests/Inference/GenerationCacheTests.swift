import Models
import Numerics
import Protocol
import Testing

@testable import Training

@Suite struct GenerationCacheTests {
  private typealias Harness = GenerationHarness<Float>

  /// Two blocks of keys and values of two heads of 8: 64 numbers a token, in chunks of 128 tokens.
  @Test func memoryGrowsInChunks() throws {
    let harness = try Harness(.groupedHeads)
    let cache = try harness.hosted.makeCache(capacity: 600)
    let chunk = 128 * 64 * 4
    #expect(cache.bytes == 0 && cache.count == 0)
    let session = Harness.session(1, tokens: 300)
    for (rows, chunks) in [(0..<1, 1), (1..<128, 1), (128..<129, 2), (129..<300, 3)] {
      _ = try harness.hosted.extend([(cache, session.slice(rows: rows))])
      #expect(cache.count == rows.upperBound && cache.bytes == chunks * chunk)
      #expect(GenerationCache<Float>.bytesNeeded(harness.graph, tokens: rows.upperBound) == cache.bytes)
    }
    for (length, chunks) in [(400, 3), (257, 3), (256, 2), (1, 1), (0, 0)] {
      cache.truncate(to: length)
      #expect(cache.count == min(300, length) && cache.bytes == chunks * chunk)
    }
    cache.truncate(to: -3)
    #expect(cache.count == 0)
  }

  @Test func bytesAreCountedWithoutOverflow() throws {
    let graph = try Harness(.manyHeads).graph
    #expect(GenerationCache<Double>.bytesNeeded(graph, tokens: 1000) == 8 * 128 * 128 * 8)
    #expect(GenerationCache<Float>.bytesNeeded(graph, tokens: 0) == 0)
    #expect(GenerationCache<Float>.bytesNeeded(graph, tokens: -1) == nil)
    #expect(GenerationCache<Float>.bytesNeeded(graph, tokens: .max) == nil)
  }

  @Test func blocksAreFilledInOrder() {
    typealias Slice = GenerationBlock.Slice
    func slices(_ lengths: [Int]) -> [[Slice]] { GenerationBlock.cut(lengths, size: 10).map(\.slices) }
    #expect(slices([]) == [])
    #expect(slices([10]) == [[Slice(part: 0, rows: 0..<10, isLast: true)]])
    #expect(
      slices([3, 19, 1, 9]) == [
        [Slice(part: 0, rows: 0..<3, isLast: true), Slice(part: 1, rows: 0..<7, isLast: false)],
        [Slice(part: 1, rows: 7..<17, isLast: false)],
        [
          Slice(part: 1, rows: 17..<19, isLast: true), Slice(part: 2, rows: 0..<1, isLast: true),
          Slice(part: 3, rows: 0..<7, isLast: false),
        ], [Slice(part: 3, rows: 7..<9, isLast: true)],
      ])
    #expect(GenerationBlock.cut([3, 19], size: 10)[0].layout.offsets == [0, 3, 10])
  }
}

/// Sessions that grow token by token against what Hugging Face's models computed over whole samples.
@Suite struct GenerationFixtureTests {
  /// Logits of every token of four samples, all sessions in one batch; the promise of `TransformerTrajectoryTests` for whole passes.
  @Test(arguments: ["llama-causal", "llama-causal-biases"]) func isHuggingFaces(_ name: String) throws {
    let fixture = try TransformerFixture.read.get()
    let wanted = try #require(fixture.cases.first { $0.name == name })
    let description = try #require(TransformerTrajectoryTests.descriptions[name])
    let graph = try ModelDescription.transformer(description).graph()
    let structure = Model(graph).structure
    let parameters = zip(structure.parameters, try wanted.parameters(structure)).map { Tensor($1, shape: $0.shape) }
    let hosted = try HostedModel<Double>(graph, compute: Compute(threads: 2), parameters: parameters)
    let layout = wanted.layout(.none)
    let inputs = Tensor(try fixture.tensor("inputs", of: wanted), shape: [layout.tokens, description.width])
    let logits = Tensor(try fixture.tensor("logits", of: wanted), shape: [layout.tokens, description.head.outputs])
    let caches = try wanted.lengths.map { _ in try hosted.makeCache(capacity: description.maximumTokens) }
    var compared = 0
    for step in 0..<(wanted.lengths.max() ?? 0) {
      let samples = wanted.lengths.indices.filter { wanted.lengths[$0] > step }
      let rows = samples.map { layout.offsets[$0] + step }
      let outputs = try hosted.extend(zip(samples, rows).map { (caches[$0], inputs.slice(rows: $1..<$1 + 1)) })
      for (place, row) in rows.enumerated() {
        let expected = logits.slice(rows: row..<row + 1)
        #expect(GenerationHarness.difference(outputs.slice(rows: place..<place + 1), expected) <= 1e-9)
        // Greedy generation would take the same token.
        #expect(
          outputs.slice(rows: place..<place + 1).largest(1).columns.elements == expected.largest(1).columns.elements)
        compared += 1
      }
    }
    #expect(compared == layout.tokens)
  }
}
