import Models
import Foundation
import Testing

@testable import Training

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
