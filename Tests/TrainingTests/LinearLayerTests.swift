import Models
import Numerics
import Testing

@testable import Training

@Suite struct LinearLayerTests {
  static let activations: [Activation?] = [nil] + Activation.allCases

  private func harness(
    _ activation: Activation?, rows: Int, inputs: Int, outputs: Int, homogeneous: Bool = false, residual: Bool = false,
    hasBias: Bool = true
  ) -> LayerHarness {
    let layer = LinearLayer(
      name: "layers.3", from: 0, ModelValue(space: SpaceID("a"), width: inputs), to: 2,
      ModelValue(space: SpaceID("b"), width: outputs),
      homogeneous: homogeneous ? HomogeneousColumns(features: inputs - 2, padding: 1) : nil, activation: activation,
      residual: residual ? 1 : nil, LinearParameters(hasBias: hasBias))
    return LayerHarness(
      layer: layer, inputWidths: [inputs] + (residual ? [outputs] : []), outputWidth: outputs, rows: rows)
  }

  @Test(arguments: activations) func gradientsAreFiniteDifferences(_ activation: Activation?) {
    for homogeneous in [false, true] {
      harness(activation, rows: 5, inputs: 7, outputs: 19, homogeneous: homogeneous).checkAll()
    }
    // One output of a relu may be 0 and stay so.
    if activation != .relu { harness(activation, rows: 1, inputs: 1, outputs: 1).checkAll() }
  }

  @Test(arguments: [true, false]) func aResidualIsAddedAndGetsTheGradient(_ hasBias: Bool) {
    let harness = harness(nil, rows: 6, inputs: 5, outputs: 33, residual: true, hasBias: hasBias)
    harness.checkAll()
    let (inputs, parameters) = (harness.inputs, harness.parameters)
    let expected = (0..<6 * 33).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: 33)
      let sum = (0..<5).reduce(0.0) { $0 + inputs[0][row * 5 + $1] * parameters[0][column * 5 + $1] }
      return inputs[1][index] + sum + (hasBias ? parameters[1][column] : 0)
    }
    // Sums of 7 numbers below 1, each rounded: 7 · 1.1e-16 · 7.
    harness.checkOutput(expected, tolerance: 1e-14)
  }

  /// Large enough that every pass is cut into several pieces.
  @Test(arguments: activations) func bitsAndPrecision(_ activation: Activation?) {
    let harness = harness(activation, rows: 130, inputs: 390, outputs: 600)
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  @Test func bitsAndPrecisionWithAResidual() {
    let harness = harness(nil, rows: 300, inputs: 390, outputs: 600, residual: true)
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  @Test func rulesNameWhatDecides() {
    let plain = harness(nil, rows: 1, inputs: 3, outputs: 2).layer
    #expect(plain.constraints.map(\.largest) == [.orthogonal, .orthogonal])
    let relu = harness(.relu, rows: 1, inputs: 3, outputs: 2).layer
    #expect(
      relu.constraints.last
        == SpaceConstraint(space: SpaceID("b"), largest: .permutation, reason: "relu after layers.3"))
    let odd = harness(.tanh, rows: 1, inputs: 3, outputs: 2).layer
    #expect(odd.constraints.last?.largest == .signedPermutation)
  }
}
