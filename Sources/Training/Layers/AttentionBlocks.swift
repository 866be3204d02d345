import Models
import Numerics

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
  /// Tokens of the longest sample.
  let maximumKeys: Int

  init(_ sequences: SequenceLayout, queryDomain: RowDomain, isCausal: Bool) {
    self.sequences = sequences
    self.queryDomain = queryDomain
    self.isCausal = isCausal
    let sizes = (0..<sequences.samples).map { sample in
      let keys = sequences.range(ofSample: sample).count
      let rows = queryDomain == .tokens ? min(keys, Self.rows(keys: keys)) : 1
      return (rows, rows * Self.rowStride(keys: keys))
    }
    maximumKeys = (0..<sequences.samples).map { sequences.range(ofSample: $0).count }.max() ?? 0
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

  func tokens(ofSample sample: Int) -> Range<Int> { sequences.range(ofSample: sample) }

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
  private let factorElements: Int
  /// All of it.
  let elements: Int

  /// - Parameters:
  ///   - tiles: blocks of scores in use at once.
  ///   - sums: elements for sums of what is stored in another format.
  init(_ blocks: AttentionBlocks, tiles: Int, sums: Int) {
    self.tiles = tiles
    tileElements = blocks.tileElements
    // Whole cache lines.
    factorElements = (blocks.tileRows + 15) / 16 * 16
    elements = tiles * blocks.tileElements + factorElements + sums
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

  func sums<Element: FloatingElement>(in memory: UnsafeMutablePointer<Element>) -> UnsafeMutablePointer<Element> {
    memory + tiles * tileElements + factorElements
  }
}
