import Masking
import Tensors

/// Finds out whether a block of rows is mostly zeros, as fingerprints and counts are.
enum SparseBlock {
  /// The block's non-zeros, or nil when they are more than `share` of it. Decided by the block alone, so that a resumed run
  /// masks it the same way.
  ///
  /// - Throws: `MaskingError.sparseRows` never for a block of its own shape.
  static func compress<Element: FloatingElement>(
    _ rows: Tensor<Float>, below share: Double
  ) throws -> SparseRows<Element>? {
    guard let entries = entries(rows, atMost: Int(share * Double(rows.count))) else { return nil }
    let values: Tensor<Element> = Tensor(entries.values, shape: [entries.values.count]).converted()
    return try SparseRows(
      columns: rows.columns, starts: entries.starts, indices: entries.indices, values: values.elements)
  }

  private static func entries(
    _ rows: Tensor<Float>, atMost limit: Int
  ) -> (starts: [Int], indices: [Int32], values: [Float])? {
    let columns = rows.columns
    return rows.withUnsafeBufferPointer { elements in
      var count = 0
      for element in elements where element != 0 {
        count += 1
        if count > limit { return nil }
      }
      var starts = [0]
      var indices: [Int32] = []
      var values: [Float] = []
      indices.reserveCapacity(count)
      values.reserveCapacity(count)
      for row in 0..<rows.rows {
        for column in 0..<columns where elements[row * columns + column] != 0 {
          indices.append(Int32(truncatingIfNeeded: column))
          values.append(elements[row * columns + column])
        }
        starts.append(indices.count)
      }
      return (starts, indices, values)
    }
  }
}
