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

  /// Of memory that is only read: a view that is no product's result.
  package init(reading base: UnsafePointer<Element>, rows: Int, columns: Int, stride: Int? = nil) {
    self.init(UnsafeMutablePointer(mutating: base), rows: rows, columns: columns, stride: stride)
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

/// A matrix whose memory stays where it is for its whole life, so that a computation can hold views of it across calls.
///
/// Unlike `Tensor` it is never copied and has no value semantics; one thread at a time owns it.
package final class MatrixBuffer<Element: TensorElement> {
  /// Keeps the memory alive.
  private let storage: TensorStorage<Element>
  private let base: UnsafeMutablePointer<Element>
  package let elements: UnsafeMutableBufferPointer<Element>
  package let rows: Int
  package let columns: Int

  /// Zeros. `rows * columns` must not overflow: whoever takes sizes from outside checks them first.
  package init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    storage = TensorStorage(count: rows * columns)
    (base, elements) = (storage.base, storage.elements)
    // Zero bits are 0 in every format, and written as bytes at the speed of memory.
    UnsafeMutableRawPointer(storage.base).initializeMemory(
      as: UInt8.self, repeating: 0, count: storage.elements.count * MemoryLayout<Element>.stride)
  }

  /// Memory with unspecified contents, for a computation that writes every element before it reads it.
  package init(uninitializedRows rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    storage = TensorStorage(count: rows * columns)
    (base, elements) = (storage.base, storage.elements)
  }

  /// A part of another buffer's memory, from element `offset` on: the two see each other's writes.
  package init(within other: MatrixBuffer, offset: Int, rows: Int, columns: Int) {
    precondition(
      offset >= 0 && rows >= 0 && columns >= 0 && offset + rows * columns <= other.count,
      "\(rows)×\(columns) elements from \(offset) on are not within \(other.count)")
    self.rows = rows
    self.columns = columns
    storage = other.storage
    base = other.base + offset
    elements = UnsafeMutableBufferPointer(start: base, count: rows * columns)
  }

  package var count: Int { elements.count }

  /// Valid while the buffer is alive.
  package var view: MatrixView<Element> {
    MatrixView(base, rows: rows, columns: columns)
  }

  /// A copy under `shape`, whose count must be the buffer's.
  package func copy(shape: [Int]) -> Tensor<Element> {
    var tensor = Tensor<Element>(uninitialized: shape)
    tensor.withUnsafeMutableBufferPointer { target in
      _ = target.initialize(from: UnsafeBufferPointer(elements))
    }
    return tensor
  }

  /// Overwrites the elements; `tensor.count` must be the buffer's.
  package func assign(_ tensor: Tensor<Element>) {
    precondition(tensor.count == count, "a buffer of \(count) elements cannot take \(tensor.count)")
    tensor.withUnsafeBufferPointer { source in
      _ = elements.update(fromContentsOf: source)
    }
  }
}
