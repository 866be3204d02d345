import Models
import Testing

@testable import Training

@Suite struct LowRankLinearLayerTests {
  private func harness(
    _ activation: Activation? = nil, rows: Int, inputs: Int, outputs: Int, rank: Int, residual: Bool = false,
    isTrained: Bool = true
  ) -> LayerHarness {
    let source = ModelValue(space: SpaceID("a"), width: inputs)
    let target = ModelValue(space: SpaceID("b"), width: outputs)
    let base = LinearLayer(
      name: "block.query", from: 0, source, to: 2, target, activation: activation, residual: residual ? 1 : nil,
      .pretrained(hasBias: true, isTrained: isTrained))
    let layer = LowRankLinearLayer(
      base, input: source, output: target, rank: Space(id: SpaceID("block.query.rank"), width: rank),
      scale: 6 / Double(rank))
    return LayerHarness(
      layer: layer, inputWidths: [inputs] + (residual ? [outputs] : []), outputWidth: outputs, rows: rows)
  }

  @Test(arguments: [nil, Activation.tanh, .gelu]) func gradientsAreFiniteDifferences(_ activation: Activation?) {
    harness(activation, rows: 5, inputs: 7, outputs: 19, rank: 3).checkAll()
    harness(activation, rows: 1, inputs: 1, outputs: 1, rank: 1).checkAll()
  }

  @Test func aResidualIsAddedOnce() {
    harness(rows: 6, inputs: 5, outputs: 33, rank: 2, residual: true).checkAll()
  }

  @Test func theOutputIsTheDefinition() {
    let harness = harness(rows: 4, inputs: 5, outputs: 3, rank: 2)
    let (x, parameters) = (harness.inputs[0], harness.parameters)
    let expected = (0..<12).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: 3)
      var sum = parameters[1][column]
      for i in 0..<5 {
        var weight = parameters[0][column * 5 + i]
        for r in 0..<2 { weight += 6.0 / 2 * parameters[3][column * 2 + r] * parameters[2][r * 5 + i] }
        sum += x[row * 5 + i] * weight
      }
      return sum
    }
    // About 20 rounded operations on numbers below 10.
    harness.checkOutput(expected, tolerance: 1e-14)
  }

  @Test func bitsAndPrecision() {
    let harness = harness(.gelu, rows: 130, inputs: 390, outputs: 600, rank: 8)
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  @Test func namesAndRulesAreThoseOfPEFT() {
    let layer = harness(rows: 1, inputs: 5, outputs: 3, rank: 2, isTrained: false).layer
    #expect(
      layer.parameters.map(\.name) == [
        "block.query.weight", "block.query.bias", "block.query.lora_A.weight", "block.query.lora_B.weight",
      ])
    #expect(layer.parameters.map(\.shape) == [[3, 5], [3], [2, 5], [3, 2]])
    #expect(layer.parameters.map(\.isTrained) == [false, false, true, true])
    #expect(layer.parameters.map(\.origin) == [.pretrained, .pretrained, .linear, .zeros])
    #expect(layer.constraints.last?.space == SpaceID("block.query.rank"))
    #expect(layer.constraints.last?.largest == .orthogonal)
  }
}
