package import Models
package import Numerics

/// Scaled dot-product attention within each sample (Vaswani et al., Attention Is All You Need, 2017, section 3.2), over packed
/// sequences: nothing is computed for padding because there is none.
///
/// T tokens, S samples, L tokens of one sample, H heads, w headWidth. Queries and context: T × H·w, or S × H·w where only the
/// pooled token of each sample asks; keys and values: T × groups·w. Scores are computed a block of query rows at a time, so
/// that they stay in cache whatever L is; of each row only log Σ exp(score) is kept, and the backward pass computes the
/// weights again. Scores, weights and sums are in the format of arithmetic; where activations are narrower, they are read as they are, and what
/// comes of them is rounded once.
package struct AttentionLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  let shape: AttentionShape
  private let queryDomain: RowDomain

  package var parameters: [ParameterSpecification] { [] }
  package var keptColumns: Int { 0 }
  /// log Σ exp(score) of each head.
  package var statisticsColumns: Int { shape.heads }
  package var valuesReadBackward: [Int] { inputs }

  /// - Parameters:
  ///   - inputs: query, key and value; their spaces and the context's have `HeadsForm`s, which say the rest about keys.
  ///   - context: what the output is; the domain of its rows is the queries'.
  init(
    name: String, inputs: [Int], _ values: [ModelValue], to output: Int, _ context: ModelValue, shape: AttentionShape
  ) {
    self.name = name
    self.inputs = inputs
    self.output = output
    self.shape = shape
    queryDomain = context.domain
    constraints = zip(values + [context], ["queries", "keys", "values", "context"]).map { value, role in
      SpaceConstraint(space: value.space, largest: .orthogonal, reason: "\(role) of \(name)")
    }
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    let inputs = pass.inputs.compactMap(Element.view)
    guard inputs.count == 3, let output = Element.view(pass.output), let sequences = pass.sequences else { return }
    if let past = pass.past { return forward(pass, sequences, past) }
    let blocks = AttentionBlocks(sequences, queryDomain: queryDomain, isCausal: shape.isCausal)
    let (query, key, value) = (inputs[0], inputs[1], inputs[2])
    let (compute, shape, logarithms) = (pass.compute, shape, pass.statistics)
    let factor = 1 / Double(shape.headWidth).squareRoot()
    let scratch = AttentionScratch(blocks, tiles: 1, sums: blocks.tileRows * shape.headWidth)
    pass.workers.perform(
      pieces: sequences.samples * shape.heads, scratch: scratch.elements, of: Element.Accumulator.self
    ) { piece, memory in
      let (sample, head) = piece.quotientAndRemainder(dividingBy: shape.heads)
      let keys = key.head(head / shape.headsPerGroup, shape.headWidth, rows: sequences.range(ofSample: sample))
      let values = value.head(head / shape.headsPerGroup, shape.headWidth, rows: sequences.range(ofSample: sample))
      blocks.forEach(ofSample: sample) { block in
        let scores = scratch.tile(0, block, in: memory)
        compute.multiplyOnCallingThread(
          query.head(head, shape.headWidth, rows: block.queries), keys.rows(0..<block.keys), transposeB: true,
          alpha: factor, into: scores)
        Element.Accumulator.attentionWeights(
          scores, first: block.first, step: block.step, inverses: scratch.factors(in: memory),
          logarithms: logarithms?.head(head, 1, rows: block.queries))
        let context = output.head(head, shape.headWidth, rows: block.queries)
        Element.withSums(of: context, keeping: false, in: { scratch.sums(in: memory) }) { context in
          compute.multiplyOnCallingThread(scores, values.rows(0..<block.keys), into: context)
          Element.Accumulator.scaleRows(context, by: scratch.factors(in: memory))
        }
      }
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let matrices = Matrices(pass), let sequences = pass.sequences, let logarithms = pass.statistics else {
      return 0
    }
    let blocks = AttentionBlocks(sequences, queryDomain: queryDomain, isCausal: shape.isCausal)
    let (shape, width) = (shape, shape.headWidth)
    let (compute, keyTarget, valueTarget) = (pass.compute, matrices.gradients[1], matrices.gradients[2])
    let keyElements = blocks.maximumKeys * width
    let scratch = AttentionScratch(blocks, tiles: 2, sums: 2 * keyElements)
    // All that adds to one head of keys and values is one piece, in a fixed order.
    pass.workers.perform(
      pieces: sequences.samples * shape.groups, scratch: scratch.elements, of: Element.Accumulator.self
    ) { piece, memory in
      let (sample, group) = piece.quotientAndRemainder(dividingBy: shape.groups)
      let tokens = sequences.range(ofSample: sample)
      Self.withSums(keyTarget, group, width, tokens, in: { scratch.sums(in: memory) }) { keySums in
        Self.withSums(valueTarget, group, width, tokens, in: { scratch.sums(in: memory) + keyElements }) {
          valueSums in
          Self.backward(
            matrices, compute, blocks, shape, sample: sample, group: group, logarithms, scratch, memory,
            keySums: keySums,
            valueSums: valueSums)
        }
      }
    }
    return 0
  }

  /// What a backward pass reads and writes, as layers store it.
  private struct Matrices<Element: ActivationElement> {
    let inputs: [MatrixView<Element>]
    let outputGradient: MatrixView<Element>
    /// As many as inputs.
    let gradients: [(view: MatrixView<Element>, accumulates: Bool)?]

    /// Nil where there are not three inputs, or not all is stored as it must be.
    init?(_ pass: BackwardPass<Element>) {
      inputs = pass.inputs.compactMap(Element.view)
      gradients = pass.inputGradients.map { target in
        target.flatMap { target in Element.view(target.view).map { ($0, target.accumulates) } }
      }
      guard inputs.count == 3, gradients.count == 3, let gradient = Element.view(pass.outputGradient) else {
        return nil
      }
      outputGradient = gradient
    }
  }

  /// Sums of a group's keys or values of one sample, and whether they add to what is there; nil where nobody needs the gradient.
  private struct Sums<Element: FloatingElement> {
    let view: MatrixView<Element>
    let accumulates: Bool
  }

  private static func withSums<Element: ActivationElement>(
    _ target: (view: MatrixView<Element>, accumulates: Bool)?, _ group: Int, _ width: Int, _ tokens: Range<Int>,
    in memory: () -> UnsafeMutablePointer<Element.Accumulator>, _ body: (Sums<Element.Accumulator>?) -> Void
  ) {
    guard let target else { return body(nil) }
    Element.withSums(of: target.view.head(group, width, rows: tokens), keeping: target.accumulates, in: memory) {
      body(Sums(view: $0, accumulates: target.accumulates))
    }
  }

  /// Of one sample and group: all its heads, one after the other.
  private static func backward<Element: ActivationElement>(
    _ pass: Matrices<Element>, _ compute: Compute, _ blocks: AttentionBlocks, _ shape: AttentionShape, sample: Int,
    group: Int,
    _ logarithms: MatrixView<Element.Accumulator>, _ scratch: AttentionScratch,
    _ memory: UnsafeMutablePointer<Element.Accumulator>, keySums: Sums<Element.Accumulator>?,
    valueSums: Sums<Element.Accumulator>?
  ) {
    let (width, tokens) = (shape.headWidth, blocks.tokens(ofSample: sample))
    let factor = 1 / Double(width).squareRoot()
    let keys = pass.inputs[1].head(group, width, rows: tokens)
    let values = pass.inputs[2].head(group, width, rows: tokens)
    var isFirst = true
    for head in group * shape.headsPerGroup..<(group + 1) * shape.headsPerGroup {
      // The last block, which sees every key, comes first, so that it can overwrite what was in the gradients.
      blocks.forEach(ofSample: sample) { block in
        let (weights, scoreGradient) = (scratch.tile(0, block, in: memory), scratch.tile(1, block, in: memory))
        let queries = pass.inputs[0].head(head, width, rows: block.queries)
        let contextGradient = pass.outputGradient.head(head, width, rows: block.queries)
        let (seenKeys, seenValues) = (keys.rows(0..<block.keys), values.rows(0..<block.keys))
        compute.multiplyOnCallingThread(queries, seenKeys, transposeB: true, alpha: factor, into: weights)
        compute.multiplyOnCallingThread(contextGradient, seenValues, transposeB: true, into: scoreGradient)
        Element.Accumulator.attentionWeightsBackward(
          weights, first: block.first, step: block.step, gradients: scoreGradient,
          logarithms: logarithms.head(head, 1, rows: block.queries))
        if let valueSums {
          compute.multiplyOnCallingThread(
            weights, transposeA: true, contextGradient, accumulates: !isFirst || valueSums.accumulates,
            into: valueSums.view.rows(0..<block.keys))
        }
        if let keySums {
          compute.multiplyOnCallingThread(
            scoreGradient, transposeA: true, queries, alpha: factor, accumulates: !isFirst || keySums.accumulates,
            into: keySums.view.rows(0..<block.keys))
        }
        if let queryTarget = pass.gradients[0] {
          compute.multiplyOnCallingThread(
            scoreGradient, seenKeys, alpha: factor, accumulates: queryTarget.accumulates,
            into: queryTarget.view.head(head, width, rows: block.queries))
        }
        isFirst = false
      }
    }
  }
}

extension MatrixView {
  /// Columns of head `number` in the rows `rows`.
  func head(_ number: Int, _ width: Int, rows: Range<Int>) -> MatrixView {
    block(rows: rows, columns: number * width..<(number + 1) * width)
  }
}

/// The heads of an attention layer.
struct AttentionShape: Sendable, Equatable {
  /// Query heads, a multiple of `groups`.
  let heads: Int
  /// Heads of keys and values; query heads h · heads/groups … share head h (Ainslie et al., 2023).
  let groups: Int
  let headWidth: Int
  /// Whether a token looks at itself and those before it alone.
  let isCausal: Bool

  var headsPerGroup: Int { heads / groups }
}
