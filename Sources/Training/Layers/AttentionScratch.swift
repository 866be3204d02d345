import Tensors

/// Memory of one thread for blocks of attention scores.
struct AttentionScratch<Element: FloatingElement> {
  private let tiles: MatrixBuffer<Element>
  private let rowFactors: MatrixBuffer<Element>

  /// - Parameter tiles: blocks of scores in use at once.
  init(_ blocks: AttentionBlocks, tiles: Int) {
    self.tiles = MatrixBuffer(uninitializedRows: tiles, columns: blocks.tileElements)
    rowFactors = MatrixBuffer(rows: 1, columns: blocks.tileRows)
  }

  /// Memory for the scores of `block`.
  func tile(_ number: Int, _ block: AttentionBlocks.Block) -> MatrixView<Element> {
    MatrixView(
      tiles.view.base + number * tiles.columns, rows: block.queries.count, columns: block.keys,
      stride: AttentionBlocks.rowStride(keys: block.keys))
  }

  /// One for each row of a block.
  var factors: UnsafeMutablePointer<Element> { rowFactors.view.base }
}
