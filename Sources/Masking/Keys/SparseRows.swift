package import Tensors

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
