import Models
import Testing

@testable import Training

@Suite struct NormLayerTests {
  /// 1 row, 1 column, widths below, at and above the kernels' vectors, several pieces of rows.
  static let sizes = [(1, 1), (1, 7), (3, 16), (5, 33), (40, 20)]

  private func value(_ width: Int) -> ModelValue {
    ModelValue(space: SpaceID("residual"), width: width, domain: .tokens)
  }

  private func layerNorm(rows: Int, width: Int) -> LayerHarness {
    let layer = LayerNormLayer(
      name: "norm", from: 0, to: 1, value(width), epsilon: 1e-2, isTrained: true)
    return LayerHarness(layer: layer, inputWidths: [width], outputWidth: width, rows: rows)
  }

  private func rootMeanSquareNorm(rows: Int, width: Int) -> LayerHarness {
    let layer = RootMeanSquareNormLayer(name: "norm", from: 0, to: 1, value(width), epsilon: 1e-2)
    return LayerHarness(layer: layer, inputWidths: [width], outputWidth: width, rows: rows)
  }

  @Test(arguments: sizes) func layerNormIsItsDefinition(_ size: (rows: Int, width: Int)) {
    let harness = layerNorm(rows: size.rows, width: size.width)
    let (x, gain, shift) = (harness.inputs[0], harness.parameters[0], harness.parameters[1])
    let expected = (0..<size.rows).flatMap { row in
      let values = x[row * size.width..<(row + 1) * size.width]
      let mean = values.reduce(0, +) / Double(size.width)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(size.width)
      return values.enumerated().map { column, value in
        (value - mean) / (variance + 1e-2).squareRoot() * gain[column] + shift[column]
      }
    }
    // Sums of at most 33 numbers below 1, divided by at least √1e-2: 33 · 1.1e-16 · 10.
    harness.checkOutput(expected, tolerance: 4e-14)
    // A width of 1 has x̂ = 0: its gradients are 0, which the check of finite differences takes for a defect.
    if size.width > 1 { harness.checkAll() }
  }

  @Test(arguments: sizes) func rootMeanSquareNormIsItsDefinition(_ size: (rows: Int, width: Int)) {
    let harness = rootMeanSquareNorm(rows: size.rows, width: size.width)
    let x = harness.inputs[0]
    let expected = (0..<size.rows).flatMap { row in
      let values = x[row * size.width..<(row + 1) * size.width]
      let mean = values.reduce(0) { $0 + $1 * $1 } / Double(size.width)
      return values.map { $0 / (mean + 1e-2).squareRoot() }
    }
    harness.checkOutput(expected, tolerance: 4e-14)
    harness.checkAll()
  }

  @Test func bitsAndPrecision() {
    for harness in [layerNorm(rows: 400, width: 390), rootMeanSquareNorm(rows: 400, width: 390)] {
      harness.checkThreadCounts()
      harness.checkSinglePrecision()
    }
  }

  /// The mean is far from 0 beside the deviation: what a one-pass variance loses.
  @Test func aLargeMeanCostsNoDigits() {
    let harness = layerNorm(rows: 2, width: 32)
    let shifted = [harness.inputs[0].map { $0 + 1000 }]
    let single = harness.run(Float.self, inputs: shifted, parameters: harness.parameters, threads: 1)
    let double = harness.run(Double.self, inputs: shifted, parameters: harness.parameters, threads: 1)
    // The input itself is rounded to 1000 · 6e-8 = 6e-5, and the mean to as much; E[x²] − mean² would be off by 0.06.
    for (a, b) in zip(single.output, double.output) { #expect(abs(Double(a) - b) < 1e-3) }
  }

  @Test func onlyTheGainNarrowsTheKey() {
    #expect(
      layerNorm(rows: 1, width: 3).layer.constraints == [
        SpaceConstraint(space: SpaceID("residual"), largest: .permutation, reason: "gain of norm")
      ])
    #expect(rootMeanSquareNorm(rows: 1, width: 3).layer.constraints.map(\.largest) == [.orthogonal])
  }
}
