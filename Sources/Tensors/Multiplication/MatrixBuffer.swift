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
