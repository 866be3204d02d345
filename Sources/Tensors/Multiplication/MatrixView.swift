/// A rectangle of elements in memory that someone else owns: row-major, `stride` elements from a row to the next.
///
/// Views carry no ownership: whoever makes one keeps the memory alive while the view is used. `@unchecked Sendable`
/// because views are handed to `Workers` pieces, which write disjoint rectangles of one view and only read the others.
package struct MatrixView<Element: TensorElement>: @unchecked Sendable {
  package let base: UnsafeMutablePointer<Element>
  package let rows: Int
  package let columns: Int
  package let stride: Int

  /// `base` must be valid for `(rows − 1) · stride + columns` elements.
  package init(_ base: UnsafeMutablePointer<Element>, rows: Int, columns: Int, stride: Int? = nil) {
    self.base = base
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }

  /// `range` must lie within `0..<rows`.
  package func rows(_ range: Range<Int>) -> MatrixView {
    MatrixView(base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// These columns of all rows; they must lie within the view.
  package func columns(_ range: Range<Int>) -> MatrixView {
    MatrixView(base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// The rectangle of these rows and columns, which must lie within the view.
  package func block(rows: Range<Int>, columns: Range<Int>) -> MatrixView {
    MatrixView(
      base + rows.lowerBound * stride + columns.lowerBound, rows: rows.count, columns: columns.count, stride: stride)
  }

  package var count: Int { rows * columns }
  /// Whether the elements lie without gaps.
  package var isContiguous: Bool { stride == columns || rows <= 1 }
}

extension Tensor {
  /// A copy of the view's elements, as a matrix.
  package init(copying view: MatrixView<Element>) {
    self.init(uninitialized: [view.rows, view.columns])
    withUnsafeMutableBufferPointer { target in
      guard let base = target.baseAddress else { return }
      for row in 0..<view.rows {
        (base + row * view.columns).initialize(from: view.base + row * view.stride, count: view.columns)
      }
    }
  }
}
