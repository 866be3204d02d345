internal import Architecture
internal import Tensors

/// Any orthogonal K, kept once, as Kᵀ in the job's own format: rows of it are what a sparse input adds up, and no copy of
/// a large key is needed for any other use.
///
/// Parameters are transformed in Double whatever the format of the key, a panel of which is widened at a time.
struct OrthogonalKey<Element: FloatingElement>: SpaceKey {
  /// Kᵀ, `[w, w]`.
  let transposed: SecretTensor<Element>

  var width: Int { transposed.shape[0] }
  var group: SymmetryGroup { .orthogonal }
  var magnitudes: (any SpaceKey<Element>)? { nil }

  var movesNumbers: Bool { false }

  func positions(of coordinates: [Int32]) -> [Int32]? { nil }

  /// A fixed partition of the result, by its size alone: a tile is one GEMM call.
  private static var rowsInTile: Int { 1024 }
  private static var columnsInTile: Int { 512 }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar> {
    multiply(rows: rows, direction, offset: nil, workers)
  }

  func mask(inputs: Tensor<Element>, offset: Bool, workers: Workers) -> Tensor<Element> {
    multiply(rows: inputs, .mask, offset: offset ? inputs.columns : nil, workers)
  }

  /// X Kᵀ or X K for X of `[n, d]`, d ≤ w, by tiles of the result.
  ///
  /// - Parameter offset: the coordinate whose column of K is added to every row; only with `.mask`.
  private func multiply<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, offset: Int?, _ workers: Workers
  ) -> Tensor<Scalar> {
    let (count, depth, width) = (rows.rows, rows.columns, width)
    var result = Tensor<Scalar>(uninitialized: [count, width])
    let rowTiles = tiles(count, Self.rowsInTile)
    let columnTiles = tiles(width, Self.columnsInTile)
    result.withUnsafeMutableBufferPointer { output in
      rows.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress, let output = output.baseAddress else { return }
        // Safe to share: every piece reads the input and writes a tile of its own.
        nonisolated(unsafe) let (x, y) = (input, output)
        workers.perform(pieces: rowTiles.count * columnTiles.count) { piece in
          let rowTile = rowTiles[piece / columnTiles.count]
          let columnTile = columnTiles[piece % columnTiles.count]
          let tile = y + rowTile.lowerBound * width + columnTile.lowerBound
          if let offset {
            fill(tile, rows: rowTile.count, leading: width, withRow: offset, columns: columnTile)
          }
          let keyRows = direction == .mask ? 0..<depth : columnTile
          let keyColumns = direction == .mask ? columnTile : 0..<depth
          withPanel(rows: keyRows, columns: keyColumns) { (panel: UnsafePointer<Scalar>, leading) in
            Scalar.multiply(
              transposeA: false, transposeB: direction == .unmask, m: rowTile.count, n: columnTile.count, k: depth,
              alpha: 1, a: x + rowTile.lowerBound * depth, leadingA: depth, b: panel, leadingB: leading,
              beta: offset == nil ? 0 : 1, c: tile, leadingC: width)
          }
        }
      }
    }
    return result
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar> {
    let (length, width) = (columns.columns, width)
    var result = Tensor<Scalar>(uninitialized: columns.shape)
    let keyTiles = tiles(width, Self.columnsInTile)
    let columnTiles = tiles(length, Self.rowsInTile)
    result.withUnsafeMutableBufferPointer { output in
      columns.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress, let output = output.baseAddress else { return }
        // Safe to share: every piece reads the input and writes a tile of its own.
        nonisolated(unsafe) let (x, y) = (input, output)
        workers.perform(pieces: keyTiles.count * columnTiles.count) { piece in
          let keyTile = keyTiles[piece / columnTiles.count]
          let columnTile = columnTiles[piece % columnTiles.count]
          let keyRows = direction == .mask ? 0..<width : keyTile
          let keyColumns = direction == .mask ? keyTile : 0..<width
          withPanel(rows: keyRows, columns: keyColumns) { (panel: UnsafePointer<Scalar>, leading) in
            Scalar.multiply(
              transposeA: direction == .mask, transposeB: false, m: keyTile.count, n: columnTile.count, k: width,
              alpha: 1, a: panel, leadingA: leading, b: x + columnTile.lowerBound, leadingB: length, beta: 0,
              c: y + keyTile.lowerBound * length + columnTile.lowerBound, leadingC: length)
          }
        }
      }
    }
    return result
  }

  /// A rectangle of Kᵀ in `Scalar` with its leading dimension: in place when the formats agree, else widened.
  private func withPanel<Scalar: FloatingElement>(
    rows: Range<Int>, columns: Range<Int>, _ body: (UnsafePointer<Scalar>, Int) -> Void
  ) {
    let corner = rows.lowerBound * width + columns.lowerBound
    transposed.withUnsafeBufferPointer { key in
      guard let base = key.baseAddress else { return }
      if let same = base as? UnsafePointer<Scalar> {
        body(same + corner, width)
        return
      }
      let panel = SecretTensor<Scalar>(shape: [rows.count, columns.count]) {
        transposed.copy(rows: rows, columns: columns, into: $0)
      }
      panel.withUnsafeBufferPointer { panel in
        if let panel = panel.baseAddress { body(panel, columns.count) }
      }
    }
  }

  /// Every row of the tile becomes part of one row of Kᵀ.
  private func fill<Scalar: FloatingElement>(
    _ tile: UnsafeMutablePointer<Scalar>, rows: Int, leading: Int, withRow keyRow: Int, columns: Range<Int>
  ) {
    withPanel(rows: keyRow..<keyRow + 1, columns: columns) { (panel: UnsafePointer<Scalar>, _) in
      for row in 0..<rows { (tile + row * leading).update(from: panel, count: columns.count) }
    }
  }

  private func tiles(_ count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }
}
