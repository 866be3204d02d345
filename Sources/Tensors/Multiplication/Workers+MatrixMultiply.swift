extension Workers {
  /// C = alpha · op(A) op(B) + beta · C, in tiles of C shared among the workers.
  ///
  /// op(A) is m × k, op(B) k × n, C m × n; the views' own shapes are those before transposition. Result bits depend on
  /// the sizes and the processor, not on `threads`.
  /// - Parameter then: called once for each tile by the worker that wrote it, while the tile is in its cache.
  package func matrixMultiply<Element: FloatingElement>(
    _ a: MatrixView<Element>, transposeA: Bool = false, _ b: MatrixView<Element>, transposeB: Bool = false,
    alpha: Element = 1, beta: Element = 0, into c: MatrixView<Element>,
    then: (@Sendable (_ tile: Int, _ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    let k = transposeA ? a.rows : a.columns
    precondition(
      (transposeA ? a.columns : a.rows) == c.rows && (transposeB ? b.rows : b.columns) == c.columns
        && (transposeB ? b.columns : b.rows) == k,
      "matrices do not fit: \(a.rows)×\(a.columns), \(b.rows)×\(b.columns) into \(c.rows)×\(c.columns)")
    let partition = TilePartition(m: c.rows, n: c.columns, k: k)
    perform(pieces: partition.count) { index in
      let tile = partition.tile(index)
      Element.multiply(
        transposeA: transposeA, transposeB: transposeB, m: tile.rows.count, n: tile.columns.count, k: k, alpha: alpha,
        a: transposeA ? a.base + tile.rows.lowerBound : a.base + tile.rows.lowerBound * a.stride, leadingA: a.stride,
        b: transposeB ? b.base + tile.columns.lowerBound * b.stride : b.base + tile.columns.lowerBound,
        leadingB: b.stride, beta: beta,
        c: c.base + tile.rows.lowerBound * c.stride + tile.columns.lowerBound, leadingC: c.stride)
      then?(index, tile.rows, tile.columns)
    }
  }

  /// Tiles that a multiplication of these sizes is cut into: what `then` counts to.
  package static func matrixMultiplyTiles(m: Int, n: Int, k: Int) -> Int {
    TilePartition(m: m, n: n, k: k).count
  }
}
