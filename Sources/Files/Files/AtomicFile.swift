package import Foundation

/// Writes a file so that a reader finds the old content or the new, whole, whatever happens in between: a temporary name
/// in the same directory, synced, then renamed, then the directory synced. Plain files and rename only, so that it also
/// holds on NFS and Lustre.
package enum AtomicFile {
  /// - Parameters:
  ///   - mode: permissions before the process's umask; by default the file is its owner's alone.
  ///   - replacing: false refuses to overwrite an existing file (EEXIST).
  ///   - body: writes the content in order; when it throws, the temporary file is removed and the old content stays.
  /// - Throws: `.system`; of kind `.exhausted` with the path when the disk or the quota is full.
  package static func write(
    to path: String, mode: mode_t = 0o600, replacing: Bool = true,
    _ body: (AtomicFileWriter) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let directory = Directory.containing(path)
    let temporary = directory + "/" + temporaryName(UInt64.random(in: .min ... .max))
    do throws(CheckpointError) {
      let file = try OpenFile.open(
        temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, as: .create)
      try body(AtomicFileWriter(file))
      try file.sync()
      try publish(temporary, as: path, replacing: replacing)
      try Directory.sync(directory)
    } catch {
      unlink(temporary)
      throw error.renamed(from: temporary, to: path)
    }
  }

  package static func write(
    _ bytes: Data, to path: String, mode: mode_t = 0o600, replacing: Bool = true
  ) throws(CheckpointError) {
    try write(to: path, mode: mode, replacing: replacing) { (writer) throws(CheckpointError) in
      try writer.write(bytes)
    }
  }

  /// Removes temporary files that a killed process left in `directory`. Only for a directory with one writing process.
  package static func removeLeftovers(in directory: String) throws(CheckpointError) {
    for name in try Directory.names(in: directory) where isTemporaryName(name) {
      try Directory.remove(directory + "/" + name)
    }
  }

  static func publish(_ temporary: String, as path: String, replacing: Bool) throws(CheckpointError) {
    if replacing {
      guard rename(temporary, path) == 0 else { throw .system(.rename, path: path, code: errno) }
    } else {
      // link fails where the name exists, also between machines; rename would replace it.
      guard link(temporary, path) == 0 else { throw .system(.create, path: path, code: errno) }
      unlink(temporary)
    }
  }

  private static let temporaryPrefix = ".writing-"

  static func temporaryName(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return temporaryPrefix + String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Whether it is the name of a file that is being written, or was when its process was killed.
  package static func isTemporaryName(_ name: String) -> Bool {
    let digits = name.dropFirst(temporaryPrefix.count)
    return name.hasPrefix(temporaryPrefix) && digits.utf8.count == 16 && digits.allSatisfy(\.isHexDigit)
  }
}

extension CheckpointError {
  /// Errors name the file a person asked for, not its temporary.
  func renamed(from temporary: String, to path: String) -> CheckpointError {
    guard case .system(let operation, temporary, let code) = self else { return self }
    return .system(operation, path: path, code: code)
  }
}

/// The end of a file being written by `AtomicFile`; nothing is buffered, so that secrets leave no copy here.
package final class AtomicFileWriter {
  private let file: OpenFile
  /// Bytes written so far.
  package private(set) var offset = 0

  init(_ file: OpenFile) {
    self.file = file
  }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    try file.write(bytes, at: offset)
    offset += bytes.count
  }

  package func write(_ bytes: Data) throws(CheckpointError) {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(CheckpointError) in try write(raw) }
    }
    try result.get()
  }
}

/// A file that is written over some time and appears under its name when it is whole and on the disk; until then it has a
/// temporary name in the same directory, and is removed when this object is released.
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
