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
    let columns = rows.columns
    let limit = Int(share * Double(rows.count))
    var starts = [0]
    var indices: [Int32] = []
    var values: [Element] = []
    let isSparse = rows.withUnsafeBufferPointer { elements in
      for row in 0..<rows.rows {
        for column in 0..<columns where elements[row * columns + column] != 0 {
          indices.append(Int32(truncatingIfNeeded: column))
          values.append(Element(elements[row * columns + column]))
        }
        if indices.count > limit { return false }
        starts.append(indices.count)
      }
      return true
    }
    guard isSparse else { return nil }
    return try SparseRows(columns: columns, starts: starts, indices: indices, values: values)
  }
}
