import Models
import Testing

@testable import Training

@Suite struct PoolingLayerTests {
  private let tokens = ModelValue(space: SpaceID("residual"), width: 19, domain: .tokens)
  private let samples = ModelValue(space: SpaceID("residual"), width: 19, domain: .samples)

  private func harness(_ layer: any Layer, _ lengths: [Int]) -> LayerHarness {
    LayerHarness(layer: layer, inputs: [tokens], output: samples, sequences: LayerHarness.layout(lengths))
  }

  @Test(arguments: [[1], [3, 1, 20], [300, 17]]) func selectionTakesThePooledRow(_ lengths: [Int]) {
    let harness = harness(SelectLayer(name: "pooling", from: 0, to: 1, tokens), lengths)
    let x = harness.inputs[0]
    let expected = LayerHarness.layout(lengths).pooled.flatMap { Array(x[$0 * 19..<($0 + 1) * 19]) }
    harness.checkOutput(expected, tolerance: 0)
    harness.checkAll()
  }

  @Test(arguments: [[1], [3, 1, 20], [300, 17]]) func meanIsTheAverageOfTheRows(_ lengths: [Int]) {
    let harness = harness(MeanPoolLayer(name: "pooling", from: 0, to: 1, tokens), lengths)
    let (x, layout) = (harness.inputs[0], LayerHarness.layout(lengths))
    let expected = lengths.indices.flatMap { sample in
      (0..<19).map { column in
        layout.range(ofSample: sample).reduce(0.0) { $0 + x[$1 * 19 + column] } / Double(lengths[sample])
      }
    }
    // Sums of at most 300 numbers below 1.
    harness.checkOutput(expected, tolerance: 1e-13)
    harness.checkAll()
    harness.checkSinglePrecision()
  }

  @Test func bothKeepAnyKey() {
    #expect(SelectLayer(name: "p", from: 0, to: 1, tokens).constraints.map(\.largest) == [.orthogonal])
    #expect(MeanPoolLayer(name: "p", from: 0, to: 1, tokens).constraints.map(\.largest) == [.orthogonal])
  }
}
