import Foundation

/// A file that is written over some time and appears under its name when it is whole and on the disk; until then it has a
/// temporary name in the same directory, and goes when this object does.
///
/// What `AtomicFile` does in one call. A temporary that a kill leaves is one of its leftovers.
final class PendingFile {
  let path: String
  private let temporary: String
  private let file: OpenFile
  private var isPublished = false
  /// Bytes written so far.
  private(set) var length = 0

  /// - Parameter mode: permissions before the process's umask.
  init(path: String, mode: mode_t) throws(CheckpointError) {
    self.path = path
    temporary =
      Directory.containing(path) + "/" + AtomicFile.temporaryName(UInt64.random(in: .min ... .max))
    do throws(CheckpointError) {
      file = try OpenFile.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, as: .create)
    } catch {
      throw error.renamed(from: temporary, to: path)
    }
  }

  deinit {
    if !isPublished { unlink(temporary) }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    try naming { () throws(CheckpointError) in try file.write(bytes, at: length) }
    length += bytes.count
  }

  func append(_ bytes: [UInt8]) throws(CheckpointError) {
    try naming { () throws(CheckpointError) in try file.write(bytes, at: length) }
    length += bytes.count
  }

  /// Writes over what is there already.
  func overwrite(_ bytes: [UInt8], at offset: Int) throws(CheckpointError) {
    try naming { () throws(CheckpointError) in try file.write(bytes, at: offset) }
  }

  /// Syncs the file and gives it its name, replacing a file that has it.
  func publish() throws(CheckpointError) {
    try naming { () throws(CheckpointError) in
      try file.sync()
      try AtomicFile.publish(temporary, as: path, replacing: true)
      isPublished = true
      try Directory.sync(Directory.containing(path))
    }
  }

  /// Errors name the file a person asked for.
  private func naming(_ body: () throws(CheckpointError) -> Void) throws(CheckpointError) {
    do throws(CheckpointError) {
      try body()
    } catch {
      throw error.renamed(from: temporary, to: path)
    }
  }
}
