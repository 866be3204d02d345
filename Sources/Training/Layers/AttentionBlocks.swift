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
  }

  /// Scores of a block: 256 kB in single precision, beside which keys and values of a head fit a core's cache.
  private static let scoresABlock = 1 << 16
  private static let mostRows = 128
  private static let fewestRows = 16

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

  private static func rows(keys: Int) -> Int {
    max(fewestRows, min(mostRows, scoresABlock / max(1, keys) / fewestRows * fewestRows))
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
