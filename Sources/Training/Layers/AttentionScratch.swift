import Tensors

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
    MatrixView(
      memory + number * tileElements, rows: block.queries.count, columns: block.keys,
      stride: AttentionBlocks.rowStride(keys: block.keys))
  }

  /// One number for each row of a block.
  func factors<Element: FloatingElement>(
    in memory: UnsafeMutablePointer<Element>
  ) -> UnsafeMutablePointer<Element> {
    memory + tiles * tileElements
  }
}
