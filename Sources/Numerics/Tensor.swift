package import Foundation

/// A dense row-major array with value semantics (copy on write), 64-byte aligned.
///
/// A vector has the shape `[n]`, a matrix `[rows, columns]`. Sizes are the caller's: whoever takes
/// them from a file or a socket checks them first (`Shape.elementCount`).
package struct Tensor<Element: TensorElement>: Sendable {
  package private(set) var shape: [Int]
  private var storage: TensorStorage<Element>

  package var count: Int { storage.elements.count }
  /// The first dimension; 1 for a scalar shape.
  package var rows: Int { shape.first ?? 1 }
  /// Elements per row: the product of all dimensions but the first.
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

extension Tensor {
  /// A copy of rows `range`; the other dimensions stay.
  package func slice(rows range: Range<Int>) -> Tensor {
    let width = columns
    return withUnsafeBufferPointer { elements in
      Tensor(
        elements[(range.lowerBound * width)..<(range.upperBound * width)],
        shape: [range.count] + shape.dropFirst())
    }
  }
}

extension Tensor where Element: FloatingElement {
  /// Whether no element is NaN or infinite.
  package var allFinite: Bool {
    withUnsafeBufferPointer { elements in
      guard let base = elements.baseAddress else { return true }
      return Element.allFinite(elements.count, base)
    }
  }

  /// The same numbers in another format, rounded to nearest; itself when the format is the same.
  @specialized(where Element == Float, Target == Double)
  @specialized(where Element == Double, Target == Float)
  package func converted<Target: FloatingElement>(to type: Target.Type = Target.self) -> Tensor<Target> {
    if let same = self as? Tensor<Target> { return same }
    var result = Tensor<Target>(uninitialized: shape)
    result.withUnsafeMutableBufferPointer { destination in
      withUnsafeBufferPointer { source in
        for index in source.indices { destination[index] = Target(source[index]) }
      }
    }
    return result
  }
}

/// Checked arithmetic on tensor shapes that come from outside.
package enum Shape {
  /// The product of `shape`; nil when a dimension is negative or the product overflows.
  package static func elementCount(_ shape: [Int]) -> Int? {
    var total = 1
    for dimension in shape {
      guard dimension >= 0 else { return nil }
      let (product, overflow) = total.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      total = product
    }
    return total
  }

  /// The bytes a tensor of `shape` takes; nil as for `elementCount`.
  package static func byteCount(_ shape: [Int], _ type: ElementType) -> Int? {
    guard let count = elementCount(shape) else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    return overflow ? nil : bytes
  }

  /// The sum of counts; nil when one of them is nil or the sum overflows.
  package static func sum(_ counts: [Int?]) -> Int? {
    var total = 0
    for count in counts {
      guard let count else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(count)
      if overflow { return nil }
      total = sum
    }
    return total
  }
}

/// The number formats tensors are stored and sent in; raw values are the wire and file codes, never renumbered.
package enum ElementType: UInt8, Sendable, CaseIterable {
  case float32 = 1
  case float64 = 2
  case int32 = 3
  case int64 = 4
  case uint8 = 5
  case bfloat16 = 6

  /// Bytes an element takes.
  package var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    case .bfloat16: 2
    case .uint8: 1
    }
  }
}

/// A number that a `Tensor` can hold: plain bits, no references, little-endian on every supported machine.
package protocol TensorElement: BitwiseCopyable, Sendable, Equatable, ExpressibleByIntegerLiteral {
  static var elementType: ElementType { get }
}

extension Float: TensorElement { package static var elementType: ElementType { .float32 } }
extension Double: TensorElement { package static var elementType: ElementType { .float64 } }
extension Int32: TensorElement { package static var elementType: ElementType { .int32 } }
extension Int64: TensorElement { package static var elementType: ElementType { .int64 } }
extension UInt8: TensorElement { package static var elementType: ElementType { .uint8 } }

/// The two formats models are computed in: `Float` on the wire and in jobs, `Double` in the tests that prove exactness.
package protocol FloatingElement: ActivationElement, BinaryFloatingPoint, AttentionKernels, LossKernels,
  OptimizerKernels, ArrayKernels
where Accumulator == Self {
  /// What activations are kept in where products take bfloat16 operands; itself where the format has no narrower one.
  associatedtype Narrow: ActivationElement where Narrow.Accumulator == Self

  /// Lets `library` compute the product in this format.
  static func multiply(_ product: MatrixProduct<Self>, _ precision: ProductPrecision, with library: any ProductLibrary)
}

extension Float: FloatingElement {
  package typealias Accumulator = Float
  package typealias Narrow = BFloat16
}

extension Double: FloatingElement {
  package typealias Accumulator = Double
  package typealias Narrow = Double
}

/// A 64-byte aligned, uniquely allocated block of elements.
///
/// `@unchecked Sendable`: the memory is written only through `Tensor`, which copies the block first unless it holds the
/// only reference (the same rule that makes `Array` sendable), and freed once, in `deinit`.
final class TensorStorage<Element: TensorElement>: @unchecked Sendable {
  let elements: UnsafeMutableBufferPointer<Element>
  /// The first element's address; there is memory there even when `elements` is empty.
  let base: UnsafeMutablePointer<Element>

  /// Uninitialised memory for `count` elements.
  init(count: Int) {
    let bytes = Swift.max(count, 1) * MemoryLayout<Element>.stride
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    base = raw.bindMemory(to: Element.self, capacity: count)
    elements = UnsafeMutableBufferPointer(start: base, count: count)
  }

  deinit {
    UnsafeMutableRawPointer(base).deallocate()
  }
}
