package import Foundation

/// A dense row-major array with value semantics (copy on write), 64-byte aligned.
///
/// `shape` is never empty of meaning: a vector is `[n]`, a matrix `[rows, columns]`. Sizes are the caller's: whoever takes
/// them from a file or a socket checks them first (`Shape.elementCount`).
package struct Tensor<Element: TensorElement>: Sendable {
  package private(set) var shape: [Int]
  private var storage: TensorStorage<Element>

  package var count: Int { storage.elements.count }
  /// The first dimension; 1 for a scalar shape.
  package var rows: Int { shape.first ?? 1 }
  /// Elements a row: the product of all dimensions but the first.
  package var columns: Int { shape.dropFirst().reduce(1, *) }
  package var byteCount: Int { count * MemoryLayout<Element>.stride }

  /// Memory with unspecified contents, for a caller that writes every element before any is read.
  package init(uninitialized shape: [Int]) {
    self.shape = shape
    storage = TensorStorage(count: shape.reduce(1, *))
  }

  package init(zeros shape: [Int]) {
    self.init(repeating: 0, shape: shape)
  }

  package init(repeating value: Element, shape: [Int]) {
    self.init(uninitialized: shape)
    storage.elements.initialize(repeating: value)
  }

  /// `elements.count` must equal the product of `shape`.
  package init(_ elements: some Collection<Element>, shape: [Int]) {
    self.init(uninitialized: shape)
    precondition(elements.count == count, "a tensor of shape \(shape) needs \(count) elements, not \(elements.count)")
    _ = storage.elements.initialize(fromContentsOf: elements)
  }

  /// The same elements in the same order under another shape of equal count.
  package func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "\(self.shape) does not reshape to \(shape)")
    var result = self
    result.shape = shape
    return result
  }

  package func withUnsafeBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafeBufferPointer(storage.elements))
  }

  package mutating func withUnsafeMutableBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    makeUnique()
    defer { withExtendedLifetime(storage) {} }
    return try body(storage.elements)
  }

  /// Overwrites the memory with zeros before it can be freed. For tensors that hold key material: copies made by a
  /// mutation are zeroed by whoever made them.
  package mutating func eraseSecret() {
    makeUnique()
    guard let base = storage.elements.baseAddress else { return }
    explicit_bzero(base, byteCount)
  }

  package subscript(index: Int) -> Element {
    get { storage.elements[index] }
    set {
      makeUnique()
      storage.elements[index] = newValue
    }
  }

  package subscript(row: Int, column: Int) -> Element {
    get { storage.elements[row * columns + column] }
    set {
      makeUnique()
      storage.elements[row * columns + column] = newValue
    }
  }

  /// The elements as an array, in row-major order.
  package var elements: [Element] { Array(storage.elements) }

  /// The elements' bytes without copying: the result keeps the storage alive, and a later mutation of this tensor copies
  /// first because the storage is then shared.
  package var bytes: Data {
    guard count > 0, let base = storage.elements.baseAddress else { return Data() }
    let owner = storage
    return Data(
      bytesNoCopy: UnsafeMutableRawPointer(base), count: byteCount,
      deallocator: .custom { _, _ in withExtendedLifetime(owner) {} })
  }

  /// Copies `bytes`, whose count must be that of `shape`; nil when it is not.
  package init?(bytes: Data, shape: [Int]) {
    guard let expected = Shape.elementCount(shape), bytes.count == expected * MemoryLayout<Element>.stride else {
      return nil
    }
    self.init(uninitialized: shape)
    bytes.withUnsafeBytes { source in
      UnsafeMutableRawBufferPointer(storage.elements).copyMemory(from: source)
    }
  }

  private mutating func makeUnique() {
    if isKnownUniquelyReferenced(&storage) { return }
    let copy = TensorStorage<Element>(count: count)
    _ = copy.elements.initialize(from: storage.elements)
    storage = copy
  }
}

extension Tensor: Equatable {
  package static func == (left: Tensor, right: Tensor) -> Bool {
    left.shape == right.shape
      && left.withUnsafeBufferPointer { a in right.withUnsafeBufferPointer { b in a.elementsEqual(b) } }
  }
}
