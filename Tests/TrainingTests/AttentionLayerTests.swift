import Models
import Foundation
import Testing

@testable import Training

@Suite struct AttentionLayerTests {
  struct Case: Sendable, CustomStringConvertible {
    var lengths: [Int]
    var heads = 2
    var groups = 2
    var headWidth = 4
    var isCausal = false
    var isPooled = false

    var description: String { "\(lengths) \(heads)/\(groups)×\(headWidth) causal \(isCausal) pooled \(isPooled)" }

    var harness: LayerHarness {
      func value(_ name: String, _ heads: Int, _ domain: RowDomain) -> ModelValue {
        ModelValue(space: SpaceID(name), width: heads * headWidth, domain: domain)
      }
      let asking: RowDomain = isPooled ? .samples : .tokens
      let values = [value("q", heads, asking), value("k", groups, .tokens), value("v", groups, .tokens)]
      let context = value("c", heads, asking)
      let layer = AttentionLayer(
        name: "attention", inputs: [0, 1, 2], values, to: 3, context,
        shape: AttentionShape(heads: heads, groups: groups, headWidth: headWidth, isCausal: isCausal))
      return LayerHarness(
        layer: layer, inputs: values, output: context, sequences: LayerHarness.layout(lengths))
    }

    /// The definition, one query and one head at a time.
    func definition(_ inputs: [[Double]]) -> [Double] {
      let layout = LayerHarness.layout(lengths)
      let (width, keyWidth) = (heads * headWidth, groups * headWidth)
      let asking = isPooled ? layout.pooled : Array(0..<layout.tokens)
      var result = [Double](repeating: 0, count: asking.count * width)
      for (row, token) in asking.enumerated() {
        let sample = lengths.indices.first { layout.range(ofSample: $0).contains(token) } ?? 0
        var keys = Array(layout.range(ofSample: sample))
        if isCausal { keys = keys.filter { $0 <= token } }
        for head in 0..<heads {
          let group = head / (heads / groups)
          let scores = keys.map { key in
            (0..<headWidth).reduce(0.0) {
              $0 + inputs[0][row * width + head * headWidth + $1] * inputs[1][key * keyWidth + group * headWidth + $1]
            } / Double(headWidth).squareRoot()
          }
          let sum = scores.reduce(0) { $0 + exp($1) }
          for (key, score) in zip(keys, scores) {
            for i in 0..<headWidth {
              result[row * width + head * headWidth + i] +=
                exp(score) / sum * inputs[2][key * keyWidth + group * headWidth + i]
            }
          }
        }
      }
      return result
    }
  }

  /// One token, one head, lengths that are no multiples of 16, groups of several heads, and all of it causal and pooled.
  static let cases: [Case] = [
    Case(lengths: [1], heads: 1, groups: 1, headWidth: 1), Case(lengths: [1, 3, 2]),
    Case(lengths: [17, 5], heads: 3, groups: 3, headWidth: 5), Case(lengths: [6, 9], heads: 4, groups: 2),
    Case(lengths: [6, 9], heads: 3, groups: 1),
  ]
  static let variants = cases.flatMap { base in
    [(false, false), (true, false), (false, true), (true, true)].map { causal, pooled in
      var variant = base
      (variant.isCausal, variant.isPooled) = (causal, pooled)
      return variant
    }
  }

  @Test(arguments: variants) func isItsDefinition(_ variant: Case) {
    let harness = variant.harness
    // Weights are quotients of sums of at most 17 terms; values stay below 1: some 50 · 1.1e-16.
    harness.checkOutput(variant.definition(harness.inputs), tolerance: 1e-14)
    harness.checkInference()
    harness.checkThreadCounts()
    harness.checkAccumulation()
    harness.checkLeavingOut()
    // Of one token alone the weights are 1, and queries and keys have no gradient.
    if variant.lengths != [1] { harness.checkFiniteDifferences() }
  }

  /// Blocks are at most 128 rows, and of 16 × 4096 scores for the longest: every way of cutting, the last block partial.
  @Test(arguments: [[129], [300, 40], [700]], [false, true]) func longSamplesAreCutIntoBlocks(
    _ lengths: [Int], _ isCausal: Bool
  ) {
    let variant = Case(lengths: lengths, heads: 2, groups: 1, headWidth: 3, isCausal: isCausal)
    let harness = variant.harness
    harness.checkOutput(variant.definition(harness.inputs), tolerance: 1e-13)
    harness.checkFiniteDifferences(every: 331)
    harness.checkThreadCounts()
    harness.checkSinglePrecision()
  }

  /// Scores of some hundreds: exp would overflow without the row's largest taken off.
  @Test func largeScoresStayFinite() {
    var variant = Case(lengths: [20, 7], headWidth: 16)
    for isCausal in [false, true] {
      variant.isCausal = isCausal
      let harness = variant.harness
      let inputs = [harness.inputs[0].map { $0 * 100 }, harness.inputs[1].map { $0 * 100 }, harness.inputs[2]]
      let single = harness.run(Float.self, inputs: inputs, parameters: [], threads: 2)
      let double = harness.run(Double.self, inputs: inputs, parameters: [], threads: 2)
      #expect(single.inputs.joined().allSatisfy { $0.isFinite })
      // Scores of up to 1e4 are off by 1e4 · 6e-8 · 4 in single precision, which is a weight's relative error.
      for (a, b) in zip(single.output, double.output) { #expect(abs(Double(a) - b) < 5e-3) }
    }
  }

  @Test func bitsAndPrecisionAtAModelsSize() {
    for isCausal in [false, true] {
      let harness = Case(lengths: [70, 128, 33], heads: 4, groups: 2, headWidth: 32, isCausal: isCausal).harness
      harness.checkThreadCounts()
      harness.checkSinglePrecision()
    }
  }

  @Test func eachSpaceIsNamedOnce() {
    let constraints = Case(lengths: [1]).harness.layer.constraints
    #expect(constraints.map(\.space.name) == ["q", "k", "v", "c"])
    #expect(constraints.allSatisfy { $0.largest == .orthogonal })
  }
}
