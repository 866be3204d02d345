package import Models
package import Numerics

/// Scaled dot-product attention within each sample (Vaswani et al., Attention Is All You Need, 2017, section 3.2), over packed
/// sequences: nothing is computed for padding because there is none.
///
/// T tokens, S samples, L tokens of one sample, H heads, w headWidth. Queries and context: T × H·w, or S × H·w where only the
/// pooled token of each sample asks; keys and values: T × groups·w. Scores are computed a block of query rows at a time, so
/// that they stay in cache whatever L is; of each row only log Σ exp(score) is kept, and the backward pass computes the
/// weights again.
package struct AttentionLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  let shape: AttentionShape
  private let queryDomain: RowDomain

  package var parameters: [ParameterSpecification] { [] }
  package var keptColumns: Int { shape.heads }
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

  package func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard pass.inputs.count == 3, let sequences = pass.sequences else { return }
    if let past = pass.past { return forward(pass, sequences, past) }
    let blocks = AttentionBlocks(sequences, queryDomain: queryDomain, isCausal: shape.isCausal)
    let (query, key, value) = (pass.inputs[0], pass.inputs[1], pass.inputs[2])
    let (compute, shape, output, kept) = (pass.compute, shape, pass.output, pass.kept)
    let factor = 1 / Double(shape.headWidth).squareRoot()
    let scratch = AttentionScratch(blocks, tiles: 1)
    pass.workers.perform(
      pieces: sequences.samples * shape.heads, scratch: scratch.elements, of: Element.self
    ) { piece, memory in
      let (sample, head) = piece.quotientAndRemainder(dividingBy: shape.heads)
      let keys = key.head(head / shape.headsPerGroup, shape.headWidth, rows: sequences.range(ofSample: sample))
      let values = value.head(head / shape.headsPerGroup, shape.headWidth, rows: sequences.range(ofSample: sample))
      blocks.forEach(ofSample: sample) { block in
        let scores = scratch.tile(0, block, in: memory)
        compute.multiplyOnCallingThread(
          query.head(head, shape.headWidth, rows: block.queries), keys.rows(0..<block.keys), transposeB: true,
          alpha: factor, into: scores)
        Element.attentionWeights(
          scores, first: block.first, step: block.step, inverses: scratch.factors(in: memory),
          logarithms: kept?.head(head, 1, rows: block.queries))
        let context = output.head(head, shape.headWidth, rows: block.queries)
        compute.multiplyOnCallingThread(scores, values.rows(0..<block.keys), into: context)
        Element.scaleRows(context, by: scratch.factors(in: memory))
      }
    }
  }

  package func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard pass.inputs.count == 3, pass.inputGradients.count == 3, let sequences = pass.sequences, let kept = pass.kept
    else { return 0 }
    let blocks = AttentionBlocks(sequences, queryDomain: queryDomain, isCausal: shape.isCausal)
    let (query, key, value) = (pass.inputs[0], pass.inputs[1], pass.inputs[2])
    let (queryTarget, keyTarget, valueTarget) = (
      pass.inputGradients[0], pass.inputGradients[1], pass.inputGradients[2]
    )
    let (compute, shape, gradient) = (pass.compute, shape, pass.outputGradient)
    let factor = 1 / Double(shape.headWidth).squareRoot()
    let width = shape.headWidth
    let scratch = AttentionScratch(blocks, tiles: 2)
    // All that adds to one head of keys and values is one piece, in a fixed order.
    pass.workers.perform(
      pieces: sequences.samples * shape.groups, scratch: scratch.elements, of: Element.self
    ) { piece, memory in
      let (sample, group) = piece.quotientAndRemainder(dividingBy: shape.groups)
      let tokens = sequences.range(ofSample: sample)
      let keys = key.head(group, width, rows: tokens)
      let values = value.head(group, width, rows: tokens)
      let keyGradient = keyTarget?.view.head(group, width, rows: tokens)
      let valueGradient = valueTarget?.view.head(group, width, rows: tokens)
      var isFirst = true
      for head in group * shape.headsPerGroup..<(group + 1) * shape.headsPerGroup {
        // The last block, which sees every key, comes first, so that it can overwrite what was in the gradients.
        blocks.forEach(ofSample: sample) { block in
          let (weights, scoreGradient) = (scratch.tile(0, block, in: memory), scratch.tile(1, block, in: memory))
          let queries = query.head(head, width, rows: block.queries)
          let contextGradient = gradient.head(head, width, rows: block.queries)
          let (seenKeys, seenValues) = (keys.rows(0..<block.keys), values.rows(0..<block.keys))
          compute.multiplyOnCallingThread(queries, seenKeys, transposeB: true, alpha: factor, into: weights)
          compute.multiplyOnCallingThread(contextGradient, seenValues, transposeB: true, into: scoreGradient)
          Element.attentionWeightsBackward(
            weights, first: block.first, step: block.step, gradients: scoreGradient,
            logarithms: kept.head(head, 1, rows: block.queries))
          if let valueGradient {
            compute.multiplyOnCallingThread(
              weights, transposeA: true, contextGradient,
              accumulates: !isFirst || valueTarget?.accumulates == true, into: valueGradient.rows(0..<block.keys))
          }
          if let keyGradient {
            compute.multiplyOnCallingThread(
              scoreGradient, transposeA: true, queries, alpha: factor,
              accumulates: !isFirst || keyTarget?.accumulates == true, into: keyGradient.rows(0..<block.keys))
          }
          if let queryTarget {
            compute.multiplyOnCallingThread(
              scoreGradient, seenKeys, alpha: factor, accumulates: queryTarget.accumulates,
              into: queryTarget.view.head(head, width, rows: block.queries))
          }
          isFirst = false
        }
      }
    }
    return 0
  }
}

extension MatrixView {
  /// Columns of head `number` in the rows `rows`.
  func head(_ number: Int, _ width: Int, rows: Range<Int>) -> MatrixView {
    block(rows: rows, columns: number * width..<(number + 1) * width)
  }
}

/// How the scores of each sample are cut into blocks of query rows; a function of the layout alone.
struct AttentionBlocks: Sendable {
  /// Query rows whose scores are in memory at once.
  struct Block {
    /// Rows of the queries' matrix.
    let queries: Range<Int>
    /// Keys of the sample that any of these rows looks at, from its first.
    let keys: Int
    /// Keys that the first row looks at, and how many more each next row does.
    let first: Int
    let step: Int

    /// Its scores from `start` on.
    func tile<Element: FloatingElement>(at start: UnsafeMutablePointer<Element>) -> MatrixView<Element> {
      MatrixView(start, rows: queries.count, columns: keys, stride: AttentionBlocks.rowStride(keys: keys))
    }
  }

  /// Scores of a block: 256 kB in single precision, beside which keys and values of a head fit a core's cache.
  private static let scoresPerBlock = 1 << 16
  private static let maxRows = 128
  private static let minRows = 16

  private let sequences: SequenceLayout
  private let queryDomain: RowDomain
  private let isCausal: Bool
  /// Elements of the largest block's scores, at `rowStride(keys:)`.
  let tileElements: Int
  /// Rows of the largest block.
  let tileRows: Int

  init(_ sequences: SequenceLayout, queryDomain: RowDomain, isCausal: Bool) {
    self.sequences = sequences
    self.queryDomain = queryDomain
    self.isCausal = isCausal
    let sizes = (0..<sequences.samples).map { sample in
      let keys = sequences.range(ofSample: sample).count
      let rows = queryDomain == .tokens ? min(keys, Self.rows(keys: keys)) : 1
      return (rows, rows * Self.rowStride(keys: keys))
    }
    tileRows = sizes.map(\.0).max() ?? 0
    tileElements = sizes.map(\.1).max() ?? 0
  }

  /// From a row of scores to the next: whole cache lines, one of them to spare, so that rows do not fall on each other's
  /// place in the cache.
  static func rowStride(keys: Int) -> Int { (keys + 15) / 16 * 16 + 16 }

  /// Query rows of a block over so many keys.
  static func rows(keys: Int) -> Int {
    max(minRows, min(maxRows, scoresPerBlock / max(1, keys) / minRows * minRows))
  }

  /// Calls `body` for each block of a sample, the last rows first.
  func forEach(ofSample sample: Int, _ body: (Block) -> Void) {
    let tokens = sequences.range(ofSample: sample)
    guard !tokens.isEmpty else { return }
    guard queryDomain == .tokens else {
      let seen = isCausal ? sequences.pooled[sample] - tokens.lowerBound + 1 : tokens.count
      body(Block(queries: sample..<sample + 1, keys: tokens.count, first: seen, step: 0))
      return
    }
    let height = Self.rows(keys: tokens.count)
    for start in stride(from: 0, to: tokens.count, by: height).reversed() {
      let rows = start..<min(tokens.count, start + height)
      body(
        Block(
          queries: tokens.lowerBound + rows.lowerBound..<tokens.lowerBound + rows.upperBound,
          keys: isCausal ? rows.upperBound : tokens.count, first: isCausal ? start + 1 : tokens.count,
          step: isCausal ? 1 : 0))
    }
  }
}

/// How a thread's memory is divided among blocks of attention scores.
struct AttentionScratch: Sendable {
  private let tileElements: Int
  private let tiles: Int
  /// All of it.
  let elements: Int

  /// - Parameter tiles: blocks of scores in use at once.
  init(_ blocks: AttentionBlocks, tiles: Int) {
    self.tiles = tiles
    tileElements = blocks.tileElements
    elements = tiles * blocks.tileElements + blocks.tileRows
  }

  /// Where the scores of `block` lie.
  func tile<Element: FloatingElement>(
    _ number: Int, _ block: AttentionBlocks.Block, in memory: UnsafeMutablePointer<Element>
  ) -> MatrixView<Element> {
    block.tile(at: memory + number * tileElements)
  }

  /// One number for each row of a block.
  func factors<Element: FloatingElement>(
    in memory: UnsafeMutablePointer<Element>
  ) -> UnsafeMutablePointer<Element> {
    memory + tiles * tileElements
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
