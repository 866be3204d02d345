import Foundations
package import Foundation
package import Numerics

/// A safetensors file open for reading, tensor by tensor and without mapping it into memory.
package final class SafetensorsFile: Sendable {
  package let header: SafetensorsHeader
  private let file: OpenFile
  private let positions: [String: Int]

  /// Reads and checks the header; the tensors stay on disk.
  ///
  /// - Throws: `.safetensors` for anything that is not a whole, valid file; `.system`.
  package init(path: String) throws(FileError) {
    file = try OpenFile.openRegular(path)
    let length = try file.length()
    let headerBytes = try Self.headerBytes(of: file, fileLength: length)
    do throws(SafetensorsProblem) {
      header = try SafetensorsHeader.parse(bytes: headerBytes, fileLength: length)
    } catch {
      throw .safetensors(path: path, error)
    }
    positions = Dictionary(uniqueKeysWithValues: header.entries.enumerated().map { ($1.name, $0) })
  }

  package var path: String { file.path }

  /// In the order of their bytes.
  package var names: [String] { header.entries.map(\.name) }

  package func entry(_ name: String) -> SafetensorsEntry? {
    positions[name].map { header.entries[$0] }
  }

  /// A tensor of any floating type as `Float` or `Double`: F16 and BF16 are widened exactly, F64 is rounded to the nearest
  /// `Float`. The memory is what the header says, which is bounded by the file's own length: check `entry(name)?.shape`
  /// first when the file is not trusted to have the size expected.
  ///
  /// - Throws: `.safetensors` with `missingTensor` or, for integers, `wrongType`.
  package func tensor<Element: TensorElement & BinaryFloatingPoint>(
    _ name: String, as type: Element.Type = Element.self
  ) throws(FileError) -> Tensor<Element> {
    let entry = try required(name)
    switch entry.type {
    case .float64: return converted(try stored(entry, as: Double.self))
    case .float32: return converted(try stored(entry, as: Float.self))
    case .float16: return try widened(entry) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: return try widened(entry) { BFloat16(bitPattern: $0).widened }
    case .int64, .int32, .uint8:
      throw .safetensors(path: file.path, .wrongType(name: name.printable(limit: 80), stored: entry.type.rawValue))
    }
  }

  /// A tensor whose stored type is exactly `Element`'s, bit for bit.
  ///
  /// - Throws: `.safetensors` with `missingTensor` or `wrongType`.
  package func storedTensor<Element: TensorElement>(
    _ name: String, as type: Element.Type = Element.self
  ) throws(FileError) -> Tensor<Element> {
    let entry = try required(name)
    guard entry.type == SafetensorsType(Element.elementType) else {
      throw .safetensors(path: file.path, .wrongType(name: name.printable(limit: 80), stored: entry.type.rawValue))
    }
    return try stored(entry, as: type)
  }

  /// Every tensor of a floating type, in the order of their bytes.
  package func tensors<Element: TensorElement & BinaryFloatingPoint>(
    as type: Element.Type = Element.self
  ) throws(FileError) -> NamedTensors<Element> {
    var result = NamedTensors<Element>()
    for entry in header.entries where entry.type.isFloating {
      result[entry.name] = try tensor(entry.name, as: type)
    }
    return result
  }

  private func required(_ name: String) throws(FileError) -> SafetensorsEntry {
    guard let entry = entry(name) else {
      throw .safetensors(path: file.path, .missingTensor(name.printable(limit: 80)))
    }
    return entry
  }

  private func stored<Element: TensorElement>(
    _ entry: SafetensorsEntry, as type: Element.Type
  ) throws(FileError) -> Tensor<Element> {
    var result = Tensor<Element>(uninitialized: entry.shape)
    try result.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try fill(UnsafeMutableRawBufferPointer(buffer), from: entry)
    }
    return result
  }

  private func converted<Stored: TensorElement & BinaryFloatingPoint, Element: TensorElement & BinaryFloatingPoint>(
    _ stored: Tensor<Stored>
  ) -> Tensor<Element> {
    if let same = stored as? Tensor<Element> { return same }
    var result = Tensor<Element>(uninitialized: stored.shape)
    stored.withUnsafeBufferPointer { source in
      result.withUnsafeMutableBufferPointer { target in
        for index in source.indices { target[index] = Element(source[index]) }
      }
    }
    return result
  }

  /// - Parameter widen: the value of a 16-bit pattern; exact, because Float holds every F16 and BF16 number.
  private func widened<Element: TensorElement & BinaryFloatingPoint>(
    _ entry: SafetensorsEntry, _ widen: (UInt16) -> Float
  ) throws(FileError) -> Tensor<Element> {
    // Two bytes an element, in bytes so that no alignment is assumed.
    var bytes = Tensor<UInt8>(uninitialized: [entry.end - entry.begin])
    try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try fill(UnsafeMutableRawBufferPointer(buffer), from: entry)
    }
    var result = Tensor<Element>(uninitialized: entry.shape)
    bytes.withUnsafeBufferPointer { source in
      result.withUnsafeMutableBufferPointer { target in
        for index in target.indices {
          target[index] = Element(widen(UInt16(source[2 * index]) | UInt16(source[2 * index + 1]) << 8))
        }
      }
    }
    return result
  }

  /// Fills `buffer` with the tensor's bytes from number `offset` on.
  func fill(
    _ buffer: UnsafeMutableRawBufferPointer, from entry: SafetensorsEntry, at offset: Int = 0
  ) throws(FileError) {
    guard offset >= 0, buffer.count <= entry.end - entry.begin - offset else {
      throw .safetensors(path: file.path, .readShort(name: entry.name.printable(limit: 80)))
    }
    let got = try file.read(into: buffer, at: header.dataOffset + entry.begin + offset)
    guard got == buffer.count else {
      throw .safetensors(path: file.path, .readShort(name: entry.name.printable(limit: 80)))
    }
  }

  /// The file's first bytes up to the header's end, or as many as there are.
  private static func headerBytes(of file: OpenFile, fileLength: Int) throws(FileError) -> [UInt8] {
    var prefix = [UInt8](repeating: 0, count: 8)
    prefix.removeLast(8 - (try file.read(into: &prefix, at: 0)))
    let length: Int
    do throws(SafetensorsProblem) {
      length = try SafetensorsHeader.headerLength(prefix, fileLength: fileLength)
    } catch {
      throw .safetensors(path: file.path, error)
    }
    var bytes = [UInt8](repeating: 0, count: 8 + length)
    let got = try file.read(into: &bytes, at: 0)
    bytes.removeLast(bytes.count - got)
    return bytes
  }
}

extension SafetensorsFile {
  /// Writes a file atomically, one tensor after the other.
  ///
  /// Wider types come first, so that every tensor is aligned to its element, and tensors of one width stay in the order
  /// given; the header's keys are sorted, and spaces make the data begin at a multiple of 8.
  ///
  /// - Throws: `.safetensors` for a name given twice or reserved, `.system` as `AtomicFile.write`.
  package static func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String, mode: mode_t = 0o600
  ) throws(FileError) {
    // The sort is by width, then by place: `sort` alone does not promise to keep the order of equals.
    let ordered = tensors.enumerated()
      .sorted { ($1.element.type.byteCount, $0.offset) < ($0.element.type.byteCount, $1.offset) }
      .map(\.element)
    let header: [UInt8]
    do throws(SafetensorsProblem) {
      header = try encodedHeader(ordered, metadata)
    } catch {
      throw .safetensors(path: path, error)
    }
    try AtomicFile.write(to: path, mode: mode) { (writer) throws(FileError) in
      try writer.write(Data(header))
      for tensor in ordered {
        let before = writer.offset
        try tensor.write(writer)
        guard writer.offset - before == tensor.type.byteCount(of: tensor.shape) else {
          throw .safetensors(path: path, .wroteOtherSize(name: tensor.name))
        }
      }
    }
  }

  /// The 8 bytes of length and the padded JSON.
  static func encodedHeader(
    _ tensors: [SafetensorsTensor], _ metadata: [String: String]
  ) throws(SafetensorsProblem) -> [UInt8] {
    var entries: [String: String] = [:]
    var offset = 0
    for tensor in tensors {
      guard tensor.name != SafetensorsHeader.metadataName else { throw .reservedName(tensor.name) }
      guard let bytes = tensor.type.byteCount(of: tensor.shape) else { throw .impossibleShape(name: tensor.name) }
      let (end, overflow) = offset.addingReportingOverflow(bytes)
      if overflow { throw .impossibleShape(name: tensor.name) }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      let text =
        "{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
      guard entries.updateValue(text, forKey: tensor.name) == nil else { throw .duplicateName(tensor.name) }
      offset = end
    }
    var members = entries.sorted { $0.key < $1.key }.map { JSONValue.quoted($0.key) + ":" + $0.value }
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map {
        JSONValue.quoted($0.key) + ":" + JSONValue.quoted($0.value)
      }
      members.insert(
        JSONValue.quoted(SafetensorsHeader.metadataName) + ":{" + pairs.joined(separator: ",") + "}", at: 0)
    }
    var json = Array(("{" + members.joined(separator: ",") + "}").utf8)
    json.append(contentsOf: [UInt8](repeating: 0x20, count: (8 - json.count % 8) % 8))
    guard json.count <= SafetensorsHeader.maximumBytes else {
      throw .headerTooLarge(limit: SafetensorsHeader.maximumBytes)
    }
    return (0..<8).map { UInt8(truncatingIfNeeded: UInt64(json.count) >> (8 * $0)) } + json
  }
}
