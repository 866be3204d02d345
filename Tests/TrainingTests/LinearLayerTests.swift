import Architecture
import Tensors
import Testing

@testable import Training

@Suite struct LinearLayerTests {
  static let activations: [Activation?] = [nil] + Activation.allCases

  private func harness(
    _ activation: Activation?, rows: Int, inputs: Int, outputs: Int, homogeneous: Bool = false
  ) -> LayerHarness {
    let layer = LinearLayer(
      name: "layers.3", from: 0, ModelValue(space: SpaceID("a"), width: inputs), to: 1,
      ModelValue(space: SpaceID("b"), width: outputs),
      homogeneous: homogeneous ? HomogeneousColumns(features: inputs - 2, padding: 1) : nil, activation: activation)
    return LayerHarness(layer: layer, inputWidths: [inputs], outputWidth: outputs, rows: rows)
  }

  @Test(arguments: activations) func gradientsAreFiniteDifferences(_ activation: Activation?) {
    for homogeneous in [false, true] {
      let harness = harness(activation, rows: 5, inputs: 7, outputs: 19, homogeneous: homogeneous)
      harness.checkFiniteDifferences()
      harness.checkSumOfSquares()
      harness.checkAccumulation()
    }
  }

  /// Large enough that every pass is cut into several pieces.
  @Test(arguments: activations) func bitsAndPrecision(_ activation: Activation?) {
    let harness = harness(activation, rows: 130, inputs: 390, outputs: 600)
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
