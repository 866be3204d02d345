import Foundations
package import Numerics

/// The header of a safetensors file: 8 bytes with its length N (little-endian), then N bytes of JSON that begin with `{`
/// and may be padded with spaces, then the tensors' bytes without gaps.
///
/// { "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"} }
package struct SafetensorsHeader: Sendable, Equatable {
  /// Longer headers are refused; 16 MiB is room for about 100,000 tensors.
  package static let maximumBytes = 16 << 20
  /// The metadata's place among the tensor names.
  static let metadataName = "__metadata__"
  private static let maximumDimensions = 32

  /// In the order of their bytes.
  package let entries: [SafetensorsEntry]
  package let metadata: [String: String]
  /// Where the data begins in the file.
  package let dataOffset: Int

  /// Checks everything that a reader relies on: each tensor's bytes are what its type and shape take, all tensors together
  /// fill the file to its last byte without overlap or hole, and no name is there twice.
  ///
  /// - Parameters:
  ///   - bytes: the file from its first byte, at least to the header's end; any bytes.
  ///   - fileLength: the whole file's length in bytes.
  /// - Throws: `SafetensorsProblem`.
  package static func parse(bytes: [UInt8], fileLength: Int) throws(SafetensorsProblem) -> SafetensorsHeader {
    let length = try headerLength(bytes, fileLength: fileLength)
    guard bytes.count >= 8 + length else { throw .headerTruncated }
    let text = bytes[8..<8 + length]
    guard text.first == UInt8(ascii: "{") else { throw .json("it does not begin with `{`", offset: 0) }
    guard String(validating: text, as: UTF8.self) != nil else { throw .notUTF8 }
    var json = JSONReader<SafetensorsProblem>(text)
    var entries: [SafetensorsEntry] = []
    var names: Set<String> = []
    var metadata: [String: String] = [:]
    try json.object { (json, name) throws(SafetensorsProblem) in
      guard names.insert(name).inserted else { throw .duplicateName(name.printable(limit: 80)) }
      if name == metadataName {
        try json.object { (json, key) throws(SafetensorsProblem) in
          let text = try json.string()
          guard metadata.updateValue(text, forKey: key) == nil else { throw .duplicateName(key.printable(limit: 80)) }
        }
      } else {
        entries.append(try entry(named: name, &json))
      }
    }
    guard json.onlySpacesAreLeft else { throw json.failure("something follows the object") }
    entries.sort { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }
    try checkLayout(entries, dataLength: fileLength - 8 - length, fileLength: fileLength)
    return SafetensorsHeader(entries: entries, metadata: metadata, dataOffset: 8 + length)
  }

  /// The JSON's length, within the limit and the file.
  ///
  /// - Parameter bytes: at least the file's first 8, where it has them.
  static func headerLength(_ bytes: [UInt8], fileLength: Int) throws(SafetensorsProblem) -> Int {
    guard bytes.count >= 8, fileLength >= 8 else { throw .noHeaderLength }
    let length = bytes[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(maximumBytes) else { throw .headerTooLarge(limit: maximumBytes) }
    guard Int(length) <= fileLength - 8 else { throw .headerTruncated }
    return Int(length)
  }

  private static func entry(
    named name: String, _ json: inout JSONReader<SafetensorsProblem>
  ) throws(SafetensorsProblem) -> SafetensorsEntry {
    var typeName: String?
    var shape: [Int]?
    var offsets: [Int]?
    try json.object { (json, key) throws(SafetensorsProblem) in
      switch key {
      case "dtype" where typeName == nil: typeName = try json.string()
      case "shape" where shape == nil:
        shape = try json.integers(limit: maximumDimensions)
        if shape == nil { throw .tooManyDimensions(name: name.printable(limit: 80), limit: maximumDimensions) }
      case "data_offsets" where offsets == nil: offsets = try json.integers(limit: 2)
      case "dtype", "shape", "data_offsets": throw .duplicateName(key)
      default: throw json.failure("a tensor has dtype, shape and data_offsets only")
      }
    }
    guard let typeName, let shape, let offsets, offsets.count == 2 else {
      throw json.failure("a tensor needs dtype, shape and two data_offsets")
    }
    guard let type = SafetensorsType(rawValue: typeName) else {
      throw .unsupportedType(name: name.printable(limit: 80), type: typeName.printable(limit: 80))
    }
    guard let byteCount = type.byteCount(of: shape) else { throw .impossibleShape(name: name.printable(limit: 80)) }
    guard offsets[0] <= offsets[1] else { throw .offsetsReversed(name: name.printable(limit: 80)) }
    guard offsets[1] - offsets[0] == byteCount else { throw .sizeMismatch(name: name.printable(limit: 80)) }
    return SafetensorsEntry(name: name, type: type, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private static func checkLayout(
    _ entries: [SafetensorsEntry], dataLength: Int, fileLength: Int
  ) throws(SafetensorsProblem) {
    var reached = 0
    for entry in entries {
      if entry.begin < reached { throw .overlap(name: entry.name.printable(limit: 80)) }
      if entry.begin > reached { throw .hole(name: entry.name.printable(limit: 80)) }
      reached = entry.end
    }
    guard reached == dataLength else {
      let (expected, overflow) = reached.addingReportingOverflow(fileLength - dataLength)
      throw .fileLength(expected: overflow ? .max : expected, found: fileLength)
    }
  }
}

/// A tensor as a safetensors header describes it.
package struct SafetensorsEntry: Sendable, Equatable {
  package let name: String
  package let type: SafetensorsType
  package let shape: [Int]
  /// Bytes from the start of the data to the tensor's first byte.
  package let begin: Int
  /// Bytes from the start of the data to after the tensor's last byte.
  package let end: Int
}

/// The number formats of safetensors files that are read. F16 and BF16 are widened on the way in; this project's own files have neither.
package enum SafetensorsType: String, Sendable, CaseIterable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int64 = "I64"
  case int32 = "I32"
  case uint8 = "U8"

  package init(_ type: ElementType) {
    self =
      switch type {
      case .float32: .float32
      case .float64: .float64
      case .int32: .int32
      case .int64: .int64
      case .uint8: .uint8
      case .bfloat16: .bfloat16
      }
  }

  /// Bytes an element takes.
  package var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .uint8: 1
    }
  }

  package var isFloating: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    case .int64, .int32, .uint8: false
    }
  }

  /// Bytes of a tensor of `shape`; nil when a dimension is negative or the product overflows, also of an empty tensor's
  /// other dimensions, whose product `Tensor.columns` takes.
  func byteCount(of shape: [Int]) -> Int? {
    guard let count = Shape.elementCount(shape), Shape.elementCount(shape.map { max($0, 1) }) != nil else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: byteCount)
    return overflow ? nil : bytes
  }
}

/// A tensor to be written: what the header says of it, and its bytes when their turn comes.
package struct SafetensorsTensor: Sendable {
  package let name: String
  package let type: SafetensorsType
  package let shape: [Int]
  let write: @Sendable (AtomicFileWriter) throws(FileError) -> Void

  package init<Element>(_ name: String, _ tensor: Tensor<Element>) {
    self.init(name: name, type: SafetensorsType(Element.elementType), shape: tensor.shape) {
      (writer) throws(FileError) in
      try tensor.withUnsafeBufferPointer { (buffer) throws(FileError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }

  /// For a tensor that is made while it is written.
  ///
  /// - Parameter write: writes the elements in row-major order, little-endian, as many as `shape` has.
  package init(
    name: String, type: SafetensorsType, shape: [Int],
    write: @escaping @Sendable (AtomicFileWriter) throws(FileError) -> Void
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    self.write = write
  }

  /// The same tensor under another name.
  package func named(_ name: String) -> SafetensorsTensor {
    SafetensorsTensor(name: name, type: type, shape: shape, write: write)
  }
}
