import Foundation
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

@Suite struct RotaryLayerTests {
  private func harness(
    _ lengths: [Int], heads: Int, frequencies: [Double], domain: RowDomain = .tokens
  ) -> LayerHarness {
    let value = ModelValue(space: SpaceID("q"), width: heads * frequencies.count * 2, domain: domain)
    let layer = RotaryLayer(
      name: "rotary", from: 0, to: 1, value, heads: heads,
      table: RotaryTable(frequencies: frequencies, positions: lengths.max() ?? 1))
    return LayerHarness(layer: layer, inputs: [value], output: value, sequences: LayerHarness.layout(lengths))
  }

  /// Hugging Face's definition: x ⊙ cos + rotate_half(x) ⊙ sin.
  private func definition(_ x: [Double], positions: [Int], heads: Int, frequencies: [Double]) -> [Double] {
    let half = frequencies.count
    return positions.indices.flatMap { row in
      (0..<heads * 2 * half).map { column in
        let (head, i) = column.quotientAndRemainder(dividingBy: 2 * half)
        let angle = Double(positions[row]) * frequencies[i % half]
        let start = (row * heads + head) * 2 * half
        let turned = i < half ? -x[start + i + half] : x[start + i - half]
        return x[start + i] * cos(angle) + turned * sin(angle)
      }
    }
  }

  @Test func tokensTurnByTheirPlaceInTheSample() {
    // 300 positions use two rows of the coarse table.
    let (lengths, frequencies) = ([1, 300, 2], [1, 0.1, 0.013])
    let harness = harness(lengths, heads: 2, frequencies: frequencies)
    let positions = lengths.flatMap { Array(0..<$0) }
    // Angles up to 300 are known to 300 · 1.1e-16; the addition theorems add 4 roundings.
    harness.checkOutput(
      definition(harness.inputs[0], positions: positions, heads: 2, frequencies: frequencies), tolerance: 1e-13)
    harness.checkFiniteDifferences(every: 31)
    harness.checkAccumulation()
    harness.checkLeavingOut()
    harness.checkInference()
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  @Test func pooledTokensTurnByTheirPlaceInTheSample() {
    let (lengths, frequencies) = ([1, 30, 7], [1, 0.1, 0.013])
    let harness = harness(lengths, heads: 3, frequencies: frequencies, domain: .samples)
    let layout = LayerHarness.layout(lengths)
    let positions = lengths.indices.map { layout.pooled[$0] - layout.offsets[$0] }
    harness.checkOutput(
      definition(harness.inputs[0], positions: positions, heads: 3, frequencies: frequencies), tolerance: 1e-13)
    harness.checkAll()
  }

  /// More planes than the kernel holds at once.
  @Test func wideHeadsTurn() {
    let frequencies = (0..<131).map { pow(10_000, -Double($0) / 131) }
    let harness = harness([5, 3], heads: 1, frequencies: frequencies)
    harness.checkOutput(
      definition(harness.inputs[0], positions: [0, 1, 2, 3, 4, 0, 1, 2], heads: 1, frequencies: frequencies),
      tolerance: 1e-14)
    harness.checkAll()
  }

  @Test func manyRowsAreCutIntoPieces() {
    harness([700, 300, 1], heads: 2, frequencies: (0..<16).map { 1 / Double($0 + 1) }).checkThreadCounts()
  }
}

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
