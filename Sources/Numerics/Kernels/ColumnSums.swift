/// Sums over the rows of a matrix, taken piece by piece: one row of partial sums from each piece of rows, added in the order
/// of the pieces whoever computed them.
///
/// `@unchecked Sendable`: each piece writes its own row only, and the totals are formed after `Workers.perform` returned.
package final class ColumnSums: @unchecked Sendable {
  /// Few enough that adding them up costs little, enough to keep many cores busy.
  private static let maxPieces = 32

  /// Sums a piece writes.
  package let columns: Int
  package let pieces: Int
  private let rows: Int
  private let rowsPerPiece: Int
  private let partial: UnsafeMutablePointer<Double>

  /// - Parameters:
  ///   - rows, width: of the matrix that is summed; they alone decide the pieces.
  ///   - columns: sums a piece writes, a small multiple of `width`.
  ///   - isWanted: false for the pieces alone, without memory for sums.
  package init(rows: Int, width: Int, columns: Int, isWanted: Bool = true) {
    self.columns = columns
    self.rows = rows
    let pieces = min(Self.maxPieces, max(1, rows / 8), max(1, rows * width / (Workers.elementsPerPiece / 2)))
    rowsPerPiece = max(1, (rows + pieces - 1) / pieces)
    self.pieces = (rows + rowsPerPiece - 1) / rowsPerPiece
    partial = .allocate(capacity: isWanted ? self.pieces * columns : 0)
  }

  deinit {
    partial.deallocate()
  }

  package func rows(ofPiece piece: Int) -> Range<Int> {
    piece * rowsPerPiece..<min(rows, (piece + 1) * rowsPerPiece)
  }

  /// Where a piece puts its sums: `columns` of them.
  package func sums(ofPiece piece: Int) -> UnsafeMutablePointer<Double> {
    partial + piece * columns
  }

  /// The totals of the columns `range`, all of them written by every piece; added to `target` if `accumulates`.
  package func total<Element: FloatingElement>(
    _ range: Range<Int>, into target: UnsafeMutablePointer<Element>, accumulates: Bool
  ) {
    Element.totalColumns(
      pieces: pieces, columns: range.count, partial + range.lowerBound, stride: columns, into: target,
      accumulates: accumulates)
  }
}

/// One number from each piece of a parallel pass, added in the order of the pieces whoever computed them.
///
/// `@unchecked Sendable`: each piece writes its own element only, and the total is read after `Workers.perform` returned.
package final class PartialSums: @unchecked Sendable {
  private let values: UnsafeMutableBufferPointer<Double>

  package init(count: Int) {
    values = .allocate(capacity: max(0, count))
    values.initialize(repeating: 0)
  }

  deinit {
    values.deallocate()
  }

  package subscript(piece: Int) -> Double {
    get { values[piece] }
    set { values[piece] = newValue }
  }

  package var total: Double { values.reduce(0, +) }
}
