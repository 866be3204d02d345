import Foundation
import Numerics

/// A message between the processes of one trainer: a few numbers and tensors, in the byte order of the machine, which they share.
struct ReplicaPacket<Element: FloatingElement> {
  var kind: UInt8
  var numbers: [Int] = []
  var reals: [Double] = []
  var text = ""
  var indices: [Tensor<Int32>] = []
  var values: [Tensor<Element>] = []

  init(kind: UInt8) {
    self.kind = kind
  }

  func encoded() -> Data {
    let text = Array(text.utf8)
    let header =
      [Int(kind), numbers.count, reals.count, text.count, indices.count, values.count]
      + numbers + reals.map { Int(bitPattern: UInt(truncatingIfNeeded: $0.bitPattern)) }
      + indices.flatMap(Self.dimensions) + values.flatMap(Self.dimensions)
    var data = Data(
      capacity: header.count * MemoryLayout<Int>.size + text.count
        + indices.reduce(0) { $0 + $1.byteCount } + values.reduce(0) { $0 + $1.byteCount })
    header.withUnsafeBytes { data.append(contentsOf: $0) }
    data.append(contentsOf: text)
    for tensor in indices { tensor.withUnsafeBufferPointer { data.append($0) } }
    for tensor in values { tensor.withUnsafeBufferPointer { data.append($0) } }
    return data
  }

  /// Nil for bytes that `encoded` did not make; what follows them is not looked at.
  init?(decoding data: Data) {
    var reader = Reader(data)
    guard let kind = reader.integer().flatMap(UInt8.init(exactly:)), let numbers = reader.count(),
      let reals = reader.count(), let text = reader.count(), let indices = reader.count(), let values = reader.count()
    else { return nil }
    self.kind = kind
    self.numbers = (0..<numbers).compactMap { _ in reader.integer() }
    self.reals = (0..<reals).compactMap { _ in
      reader.integer().map { Double(bitPattern: UInt64(truncatingIfNeeded: $0)) }
    }
    let indexShapes = (0..<indices).compactMap { _ in reader.shape() }
    let valueShapes = (0..<values).compactMap { _ in reader.shape() }
    guard self.numbers.count == numbers, self.reals.count == reals, indexShapes.count == indices,
      valueShapes.count == values, let bytes = reader.take(text)
    else { return nil }
    self.text = String(decoding: bytes, as: UTF8.self)
    for shape in indexShapes {
      guard let tensor: Tensor<Int32> = reader.tensor(shape) else { return nil }
      self.indices.append(tensor)
    }
    for shape in valueShapes {
      guard let tensor: Tensor<Element> = reader.tensor(shape) else { return nil }
      self.values.append(tensor)
    }
  }

  private static func dimensions<Value: TensorElement>(_ tensor: Tensor<Value>) -> [Int] {
    [tensor.shape.count] + tensor.shape
  }

  private struct Reader {
    private let data: Data
    private var next: Int

    init(_ data: Data) {
      self.data = data
      next = data.startIndex
    }

    mutating func take(_ count: Int) -> Data? {
      guard count >= 0, count <= data.endIndex - next else { return nil }
      defer { next += count }
      return data[next..<next + count]
    }

    mutating func integer() -> Int? {
      take(MemoryLayout<Int>.size)?.withUnsafeBytes { $0.loadUnaligned(as: Int.self) }
    }

    /// No more than there are bytes.
    mutating func count() -> Int? {
      integer().flatMap { (0...data.count).contains($0) ? $0 : nil }
    }

    mutating func shape() -> [Int]? {
      guard let rank = count(), rank <= 4 else { return nil }
      let shape = (0..<rank).compactMap { _ in integer() }
      return shape.count == rank && shape.allSatisfy { $0 >= 0 } ? shape : nil
    }

    mutating func tensor<Value: TensorElement>(_ shape: [Int]) -> Tensor<Value>? {
      guard let byteCount = Shape.byteCount(shape, Value.elementType), let bytes = take(byteCount) else { return nil }
      return Tensor(bytes: bytes, shape: shape)
    }
  }
}
