/// Where a `RowFile` keeps its bytes.
enum RowBacking: Sendable {
  case file(OpenFile)
  case memory(ScratchMemory, path: String)

  /// What errors name.
  var path: String {
    switch self {
    case .file(let file): file.path
    case .memory(_, let path): path
    }
  }

  func length() throws(CheckpointError) -> Int? {
    guard case .file(let file) = self else { return nil }
    return try file.length()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) -> Int {
    switch self {
    case .file(let file): try file.read(into: buffer, at: offset)
    case .memory(let memory, _): memory.read(into: buffer, at: offset)
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    switch self {
    case .file(let file): try file.write(buffer, at: offset)
    case .memory(let memory, _): memory.write(buffer, at: offset)
    }
  }

  func sync() throws(CheckpointError) {
    if case .file(let file) = self { try file.sync() }
  }
}
