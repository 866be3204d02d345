package import Foundation

extension SafetensorsFile {
  /// Writes a file atomically, one tensor after the other.
  ///
  /// Wider types come first, so that every tensor is aligned to its element, and tensors of one width stay in the order
  /// given; the header's keys are sorted, and spaces make the data begin at a multiple of 8.
  ///
  /// - Throws: `.safetensors` for a name given twice or reserved, `.system` as `AtomicFile.write`.
  package static func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String, mode: mode_t = 0o600
  ) throws(CheckpointError) {
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
    try AtomicFile.write(to: path, mode: mode) { (writer) throws(CheckpointError) in
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
