import Foundation

/// Zeroed memory that stands in for a scratch file when the rows are few: gathering is then a copy, not a system call a row.
///
/// `@unchecked Sendable`: the pointer never changes and the memory is freed once, in `deinit`; who reads and writes at the
/// same time keeps to `RowFile`'s rule for slots, and every access is checked against the size.
final class ScratchMemory: @unchecked Sendable {
  private let bytes: UnsafeMutableRawBufferPointer

  /// Pages are only taken when they are first written.
  ///
  /// - Throws: `.system` of kind `.exhausted` when the system has no such memory.
  init(count: Int, path: String) throws(CheckpointError) {
    guard let base = calloc(max(count, 1), 1) else { throw .system(.create, path: path, code: ENOMEM) }
    bytes = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  deinit {
    free(bytes.baseAddress)
  }

  /// - Returns: the bytes read, fewer than asked only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    let count = min(buffer.count, max(0, bytes.count - offset))
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
    return count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) {
    UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<(offset + buffer.count)]).copyMemory(from: buffer)
  }
}
