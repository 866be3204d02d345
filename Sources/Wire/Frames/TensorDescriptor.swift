import Tensors

/// Type and shape of one tensor frame, as the header frame states it.
struct TensorDescriptor: Equatable {
  static let largestRank = 4

  let type: ElementType
  let shape: [Int]

  /// Bytes the frame must have.
  ///
  /// - Throws: `WireError` for a product that overflows or exceeds `limit`.
  func byteCount(limit: Int) throws(WireError) -> Int {
    // An empty tensor's other dimensions are multiplied too, as `Tensor.columns` does.
    guard let bytes = Shape.byteCount(shape, type), Shape.elementCount(shape.map { max($0, 1) }) != nil else {
      throw .malformed("a tensor shape that overflows")
    }
    guard bytes <= limit else { throw .oversized(what: "tensor", size: bytes, limit: limit) }
    return bytes
  }

  func write(to writer: inout WireWriter) {
    writer.write(type.rawValue)
    writer.write(UInt8(clamping: shape.count))
    for dimension in shape { writer.write(UInt64(clamping: dimension)) }
  }

  init(type: ElementType, shape: [Int]) {
    self.type = type
    self.shape = shape
  }

  init(from reader: inout WireReader) throws(WireError) {
    guard let type = ElementType(rawValue: try reader.read()) else { throw .malformed("an unknown element type") }
    let rank = Int(try reader.read(UInt8.self))
    guard rank <= Self.largestRank else { throw .oversized(what: "tensor rank", size: rank, limit: Self.largestRank) }
    var shape: [Int] = []
    for _ in 0..<rank { shape.append(try reader.readIndex()) }
    self.init(type: type, shape: shape)
  }
}
