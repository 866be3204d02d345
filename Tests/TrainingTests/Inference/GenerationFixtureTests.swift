import Models
import Numerics
import Protocol
import Testing

@testable import Training

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
