import Numerics

/// Keys and values of one attention layer and session, chunk by chunk: each view is a chunk's tokens × groups · headWidth. Carries no ownership.
struct KeysAndValues<Element: ActivationElement>: Sendable {
  let keys: [MatrixView<Element>]
  let values: [MatrixView<Element>]

  /// Writes the rows of new tokens, of which the first is the session's token number `start`.
  func write(keys newKeys: MatrixView<Element>, values newValues: MatrixView<Element>, from start: Int) {
    let size = CacheLayout.chunkTokens
    for row in 0..<newKeys.rows {
      let (chunk, place) = (start + row).quotientAndRemainder(dividingBy: size)
      for (chunks, source) in [(keys, newKeys), (values, newValues)] {
        let target = chunks[chunk]
        (target.base + place * target.stride).update(from: source.base + row * source.stride, count: target.columns)
      }
    }
  }

  /// Calls `body` for each chunk that holds some of the first `count` tokens, with these tokens' numbers.
  func forEachChunk(
    of count: Int, _ body: (_ tokens: Range<Int>, _ keys: MatrixView<Element>, _ values: MatrixView<Element>) -> Void
  ) {
    let size = CacheLayout.chunkTokens
    for (number, start) in stride(from: 0, to: count, by: size).enumerated() {
      let tokens = start..<min(count, start + size)
      body(tokens, keys[number].rows(0..<tokens.count), values[number].rows(0..<tokens.count))
    }
  }
}

/// What a layer knows of the tokens before those of its pass.
struct PastTokens<Element: ActivationElement>: Sendable {
  /// How many each sample's session has: the position of the sample's first token.
  let starts: [Int]
  /// Of each sample's session, for the attention layer that is told; empty for other layers.
  let memory: [KeysAndValues<Element>]
}

extension AttentionLayer {
  /// Writes keys and values of the new tokens behind those of their sessions, and lets each new token look at those up to itself.
  ///
  /// One new token's query heads of a group are one matrix of headsPerGroup × headWidth; of more tokens each head's queries are one, as in a pass
  /// over whole samples, and are cut into blocks as there. Time per new token grows with the tokens of its session, never with their square.
  func forward<Element: ActivationElement>(
    _ pass: ForwardPass<Element>, _ sequences: SequenceLayout, _ past: PastTokens<Element>
  ) {
    let inputs = pass.inputs.compactMap(Element.view)
    guard past.memory.count == sequences.samples, past.starts.count == sequences.samples, inputs.count == 3,
      let output = Element.view(pass.output)
    else { return }
    let (query, key, value) = (inputs[0], inputs[1], inputs[2])
    for (sample, memory) in past.memory.enumerated() {
      let rows = sequences.range(ofSample: sample)
      memory.write(keys: key.rows(rows), values: value.rows(rows), from: past.starts[sample])
    }
    let (compute, shape) = (pass.compute, shape)
    let factor = 1 / Double(shape.headWidth).squareRoot()
    let scratch = (0..<sequences.samples).map { sample in
      CachedScores(shape, rows: sequences.range(ofSample: sample).count, past: past.starts[sample])
    }
    pass.workers.perform(
      pieces: sequences.samples * shape.groups, scratch: scratch.map(\.elements).max() ?? 0,
      of: Element.Accumulator.self
    ) { piece, free in
      let (sample, group) = piece.quotientAndRemainder(dividingBy: shape.groups)
      let (memory, scores) = (past.memory[sample], scratch[sample])
      let rows = sequences.range(ofSample: sample)
      let (queries, contexts) = (
        shape.queries(of: group, in: query, rows: rows), shape.queries(of: group, in: output, rows: rows)
      )
      for (queries, context) in zip(queries, contexts) {
        scores.forEachBlock(of: queries.rows) { block in
          let weights = block.tile(at: free)
          let inverses = free + scores.tileElements
          memory.forEachChunk(of: block.keys) { tokens, keys, _ in
            compute.multiplyOnCallingThread(
              queries.rows(block.queries), keys.head(group, shape.headWidth, rows: 0..<keys.rows), transposeB: true,
              alpha: factor, into: weights.columns(tokens))
          }
          Element.Accumulator.attentionWeights(
            weights, first: block.first, step: block.step, inverses: inverses, logarithms: nil)
          Element.withSums(of: context.rows(block.queries), keeping: false, in: { inverses + scores.height }) { sums in
            memory.forEachChunk(of: block.keys) { tokens, _, values in
              compute.multiplyOnCallingThread(
                weights.columns(tokens), values.head(group, shape.headWidth, rows: 0..<values.rows),
                accumulates: tokens.lowerBound > 0, into: sums)
            }
            Element.Accumulator.scaleRows(sums, by: inverses)
          }
        }
      }
    }
  }
}

extension AttentionShape {
  /// The matrices of queries, or of contexts, that look at the keys of one group: of one token all heads in one, else one for each head.
  fileprivate func queries<Element>(
    of group: Int, in all: MatrixView<Element>, rows: Range<Int>
  ) -> [MatrixView<Element>] {
    let first = group * headsPerGroup
    guard rows.count == 1 else {
      return (first..<first + headsPerGroup).map { all.head($0, headWidth, rows: rows) }
    }
    return [
      MatrixView(
        all.base + rows.lowerBound * all.stride + first * headWidth, rows: headsPerGroup, columns: headWidth)
    ]
  }
}

/// How the scores of one session's new tokens are cut into blocks of rows: a function of the two counts and the layer alone.
private struct CachedScores: Sendable {
  /// All rows of one token look at the same keys; of several tokens each next row at one more.
  private let isOneToken: Bool
  private let past: Int
  /// Rows of the largest block.
  let height: Int
  /// Elements of its scores.
  let tileElements: Int
  /// With a factor for each row of it, and its rows of a head's context.
  let elements: Int

  /// - Parameters:
  ///   - rows: new tokens.
  ///   - past: tokens before them.
  init(_ shape: AttentionShape, rows: Int, past: Int) {
    self.past = past
    isOneToken = rows == 1
    let keys = past + rows
    height = min(isOneToken ? shape.headsPerGroup : rows, AttentionBlocks.rows(keys: keys))
    tileElements = height * AttentionBlocks.rowStride(keys: keys)
    elements = tileElements + height + height * shape.headWidth
  }

  /// Calls `body` for each block of `rows` rows; a block's queries are rows of their own matrix.
  func forEachBlock(of rows: Int, _ body: (AttentionBlocks.Block) -> Void) {
    for start in stride(from: 0, to: rows, by: max(1, height)) {
      let queries = start..<min(rows, start + height)
      let keys = past + (isOneToken ? 1 : queries.upperBound)
      body(
        AttentionBlocks.Block(
          queries: queries, keys: keys, first: isOneToken ? keys : past + start + 1, step: isOneToken ? 0 : 1))
    }
  }
}
