internal import Models
package import Numerics

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

  func coordinates(at positions: [Int32]) -> [Int32]? { nil }

  /// A fixed partition of the result, by its size alone: a tile is one GEMM call.
  private static var rowsInTile: Int { 1024 }
  private static var columnsInTile: Int { 512 }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    multiply(rows: rows, direction, offset: nil, compute)
  }

  func mask(inputs: Tensor<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    multiply(rows: inputs, .mask, offset: offset ? inputs.columns : nil, compute)
  }

  /// X Kᵀ or X K for X of `[n, d]`, d ≤ w, by tiles of the result.
  ///
  /// - Parameter offset: the coordinate whose column of K is added to every row; only with `.mask`.
  private func multiply<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, offset: Int?, _ compute: Compute
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
        compute.workers.perform(pieces: rowTiles.count * columnTiles.count) { piece in
          let rowTile = rowTiles[piece / columnTiles.count]
          let columnTile = columnTiles[piece % columnTiles.count]
          let tile = y + rowTile.lowerBound * width + columnTile.lowerBound
          if let offset {
            fill(tile, rows: rowTile.count, leading: width, withRow: offset, columns: columnTile)
          }
          let keyRows = direction == .mask ? 0..<depth : columnTile
          let keyColumns = direction == .mask ? columnTile : 0..<depth
          withPanel(rows: keyRows, columns: keyColumns) { (panel: MatrixView<Scalar>) in
            compute.multiplyOnCallingThread(
              MatrixView(reading: x + rowTile.lowerBound * depth, rows: rowTile.count, columns: depth), panel,
              transposeB: direction == .unmask, accumulates: offset != nil,
              into: MatrixView(tile, rows: rowTile.count, columns: columnTile.count, stride: width))
          }
        }
      }
    }
    return result
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
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
        compute.workers.perform(pieces: keyTiles.count * columnTiles.count) { piece in
          let keyTile = keyTiles[piece / columnTiles.count]
          let columnTile = columnTiles[piece % columnTiles.count]
          let keyRows = direction == .mask ? 0..<width : keyTile
          let keyColumns = direction == .mask ? keyTile : 0..<width
          withPanel(rows: keyRows, columns: keyColumns) { (panel: MatrixView<Scalar>) in
            compute.multiplyOnCallingThread(
              panel, transposeA: direction == .mask,
              MatrixView(reading: x + columnTile.lowerBound, rows: width, columns: columnTile.count, stride: length),
              into: MatrixView(
                y + keyTile.lowerBound * length + columnTile.lowerBound, rows: keyTile.count, columns: columnTile.count,
                stride: length))
          }
        }
      }
    }
    return result
  }

  /// A rectangle of Kᵀ in `Scalar`, to be read only: in place when the formats agree, else widened.
  private func withPanel<Scalar: FloatingElement>(
    rows: Range<Int>, columns: Range<Int>, _ body: (MatrixView<Scalar>) -> Void
  ) {
    let corner = rows.lowerBound * width + columns.lowerBound
    transposed.withUnsafeBufferPointer { key in
      guard let base = key.baseAddress else { return }
      if let same = base as? UnsafePointer<Scalar> {
        body(MatrixView(reading: same + corner, rows: rows.count, columns: columns.count, stride: width))
        return
      }
      let panel = SecretTensor<Scalar>(shape: [rows.count, columns.count]) {
        transposed.copy(rows: rows, columns: columns, into: $0)
      }
      panel.withUnsafeBufferPointer { panel in
        if let panel = panel.baseAddress { body(MatrixView(reading: panel, rows: rows.count, columns: columns.count)) }
      }
    }
  }

  /// Every row of the tile becomes part of one row of Kᵀ.
  private func fill<Scalar: FloatingElement>(
    _ tile: UnsafeMutablePointer<Scalar>, rows: Int, leading: Int, withRow keyRow: Int, columns: Range<Int>
  ) {
    withPanel(rows: keyRow..<keyRow + 1, columns: columns) { (panel: MatrixView<Scalar>) in
      for row in 0..<rows { (tile + row * leading).update(from: panel.base, count: columns.count) }
    }
  }

  private func tiles(_ count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }
}

extension OrthogonalKey {
  /// Columns of the result done at a time: 64 columns of 2050 rows of Kᵀ in Float are 525 KB, which stays in a second-level
  /// cache while all input rows pass.
  private static var columnsInBlock: Int { 64 }
  /// From how many input rows on it pays to copy a block of Kᵀ into contiguous memory first: the copy touches w · 64
  /// numbers, a row about (its entries) · 64, scattered over w pages unless copied. Changes no bits.
  private static var rowsWorthCopying: Int { 256 }

  /// x' = Σ v_j K[:, j] + K[:, d], each output number summed in the order of the row's entries after the offset, whatever
  /// the other rows are.
  func mask(inputs: SparseRows<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    let (count, width, features) = (inputs.rows, width, inputs.columns)
    let block = Self.columnsInBlock
    let usedRows = offset ? features + 1 : features
    var masked = Tensor<Element>(uninitialized: [count, width])
    masked.withUnsafeMutableBufferPointer { output in
      transposed.withUnsafeBufferPointer { key in
        guard let output = output.baseAddress, let key = key.baseAddress else { return }
        // Safe to share: every piece reads the key and writes columns of its own.
        nonisolated(unsafe) let (y, keyBase) = (output, key)
        compute.workers.perform(pieces: (width + block - 1) / block) { piece in
          let columns = piece * block..<min(width, (piece + 1) * block)
          let target = y + columns.lowerBound
          if count < Self.rowsWorthCopying {
            accumulate(
              inputs, offset: offset, panel: keyBase + columns.lowerBound, leading: width, columns: columns.count,
              into: target, leadingOutput: width)
            return
          }
          let copy = SecretTensor<Element>(shape: [usedRows, columns.count]) { copy in
            guard let copy = copy.baseAddress else { return }
            for row in 0..<usedRows {
              (copy + row * columns.count)
                .update(from: keyBase + row * width + columns.lowerBound, count: columns.count)
            }
          }
          copy.withUnsafeBufferPointer { copy in
            guard let copy = copy.baseAddress else { return }
            accumulate(
              inputs, offset: offset, panel: copy, leading: columns.count, columns: columns.count, into: target,
              leadingOutput: width)
          }
        }
      }
    }
    return masked
  }

  /// One block of columns for all rows. Four entries at a time, so that the sums are loaded and stored a quarter as often;
  /// each sum still adds one entry after the other.
  @specialized(where Element == Float)
  @specialized(where Element == Double)
  private func accumulate(
    _ inputs: SparseRows<Element>, offset: Bool, panel: UnsafePointer<Element>, leading: Int, columns: Int,
    into output: UnsafeMutablePointer<Element>, leadingOutput: Int
  ) {
    inputs.indices.withUnsafeBufferPointer { indices in
      inputs.values.withUnsafeBufferPointer { values in
        for row in 0..<inputs.rows {
          let sums = output + row * leadingOutput
          if offset {
            sums.update(from: panel + inputs.columns * leading, count: columns)
          } else {
            sums.update(repeating: 0, count: columns)
          }
          var entry = inputs.starts[row]
          let end = inputs.starts[row + 1]
          while entry + 4 <= end {
            let (v0, v1, v2, v3) = (values[entry], values[entry + 1], values[entry + 2], values[entry + 3])
            let p0 = panel + Int(indices[entry]) * leading
            let p1 = panel + Int(indices[entry + 1]) * leading
            let p2 = panel + Int(indices[entry + 2]) * leading
            let p3 = panel + Int(indices[entry + 3]) * leading
            for column in 0..<columns {
              var sum = sums[column] + v0 * p0[column]
              sum += v1 * p1[column]
              sum += v2 * p2[column]
              sum += v3 * p3[column]
              sums[column] = sum
            }
            entry += 4
          }
          while entry < end {
            let value = values[entry]
            let column0 = panel + Int(indices[entry]) * leading
            for column in 0..<columns { sums[column] += value * column0[column] }
            entry += 1
          }
        }
      }
    }
  }
}

/// Rows in compressed form (CSR), checked so that a kernel may follow the indices blindly.
package struct SparseRows<Element: FloatingElement>: Sendable {
  package let columns: Int
  /// Where each row begins among `indices` and `values`, and after the last where it ends; counted from the first.
  package let starts: [Int]
  package let indices: [Int32]
  package let values: [Element]

  package var rows: Int { starts.count - 1 }

  /// - Parameters:
  ///   - starts: `indptr` of the slice: rows + 1 offsets, the first of them 0, never falling.
  ///   - indices: column of each value, 0 ..< `columns`; a column named twice in a row counts twice.
  /// - Throws: `MaskingError.sparseRows` when the parts do not fit together.
  package init(columns: Int, starts: [Int], indices: [Int32], values: [Element]) throws(MaskingError) {
    guard starts.first == 0, starts.last == indices.count else {
      throw .sparseRows(problem: "the row offsets do not span the entries")
    }
    guard indices.count == values.count else { throw .sparseRows(problem: "there are not as many indices as values") }
    guard zip(starts, starts.dropFirst()).allSatisfy({ $0 <= $1 }) else {
      throw .sparseRows(problem: "the row offsets fall")
    }
    guard indices.allSatisfy({ $0 >= 0 && Int($0) < columns }) else {
      throw .sparseRows(problem: "a column index lies outside 0 ..< \(columns)")
    }
    self.columns = columns
    self.starts = starts
    self.indices = indices
    self.values = values
  }
}
