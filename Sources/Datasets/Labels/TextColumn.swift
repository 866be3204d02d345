import Foundation

/// Reads the strings of a column, block by block.
struct TextColumn {
  /// Longer texts are no class names.
  private static let longestText = 64 << 10
  private static let blockBytes = 4 << 20

  let array: StoredArray

  /// - Throws: `wrongType` unless the column holds strings.
  init(_ array: StoredArray) throws(DatasetError) {
    guard array.element.isString else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element), not strings")
    }
    self.array = array
  }

  /// Calls `body` with each row's bytes (without padding), ascending.
  func forEach(_ body: (_ row: Int, _ text: [UInt8]) throws(DatasetError) -> Void) throws(DatasetError) {
    let memory: MemoryElement
    switch array.element {
    case .fixedString(let bytes, let utf8):
      guard bytes <= Self.longestText else {
        throw DatasetError(
          .tooLarge, array.location, "its strings take \(bytes) bytes each; the limit is \(Self.longestText)")
      }
      memory = .fixedString(bytes: bytes, utf8: utf8)
    case .variableString(let utf8): memory = .variableString(utf8: utf8)
    default: throw DatasetError(.wrongType, array.location, "it holds \(array.element), not strings")
    }
    // Strings of varying length are allocated by libhdf5, which cannot hand out more than the file holds.
    let block = max(1, min(array.plan.rowBlock, Self.blockBytes / max(64, memory.byteCount)))
    for start in stride(from: 0, to: array.rows, by: block) {
      let rows = start..<min(start + block, array.rows)
      for (index, text) in try texts(rows, memory).enumerated() { try body(start + index, text) }
    }
  }

  private func texts(_ rows: Range<Int>, _ memory: MemoryElement) throws(DatasetError) -> [[UInt8]] {
    guard case .variableString = memory else {
      let width = memory.byteCount
      var buffer = [UInt8](repeating: 0, count: rows.count * width)
      try array.read(rows: rows, as: memory, into: &buffer)
      return (0..<rows.count).map { row in
        let text = buffer[(row * width)..<((row + 1) * width)]
        return Array(text.prefix((text.lastIndex { $0 != 0 } ?? text.startIndex - 1) - text.startIndex + 1))
      }
    }
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: rows.count)
    try array.read(rows: rows, as: memory, into: &pointers)
    let texts = pointers.map { pointer in
      pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
    }
    try array.reclaimStrings(memory, &pointers)
    return texts
  }
}
