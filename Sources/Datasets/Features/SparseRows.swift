/// Some consecutive rows of a sparse matrix: row i holds `values[k]` in column `columns[k]` for k in `offsets[i]..<offsets[i+1]`.
package struct SparseRows: Sendable, Equatable {
  /// Starts at 0; one more than there are rows.
  package let offsets: [Int]
  /// Each at most once in a row, in any order.
  package let columns: [Int32]
  package let values: [Float]
}
