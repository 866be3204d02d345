import Models
import Foundation
import Testing

@testable import Training

@Suite struct GatedLayerTests {
  private func harness(rows: Int, width: Int) -> LayerHarness {
    let gate = ModelValue(space: SpaceID("gate"), width: width, domain: .tokens)
    let up = ModelValue(space: SpaceID("up"), width: width, domain: .tokens)
    let layer = GatedLayer(name: "mlp", gate: 0, gate, up: 1, up, to: 2)
    return LayerHarness(layer: layer, inputWidths: [width, width], outputWidth: width, rows: rows)
  }

  @Test(arguments: [(1, 1), (3, 17), (5, 40)]) func isItsDefinition(_ size: (rows: Int, width: Int)) {
    let harness = harness(rows: size.rows, width: size.width)
    let (gate, up) = (harness.inputs[0], harness.inputs[1])
    // Five rounded operations.
    harness.checkOutput(zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }, tolerance: 1e-15)
    harness.checkAll()
  }

  @Test func bitsAndPrecision() {
    let harness = harness(rows: 130, width: 600)
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  @Test func theProductCarriesSignsAndTheGateDoesNot() {
    let constraints = harness(rows: 1, width: 2).layer.constraints
    #expect(constraints.map(\.space.name) == ["gate", "up"])
    #expect(constraints.map(\.largest) == [.permutation, .signedPermutation])
  }
}
