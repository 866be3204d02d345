import Foundations
package import Foundation

/// Writes a file so that a reader finds the old content or the new, whole, whatever happens in between: a temporary name
/// in the same directory, synced, then renamed, then the directory synced. Plain files, link and rename only, so that it also
/// holds on NFS and Lustre.
package enum AtomicFile {
  /// - Parameters:
  ///   - mode: permissions before the process's umask, which takes nothing from the file's owner; by default the file is its owner's alone.
  ///   - replacing: false refuses to overwrite an existing file (EEXIST).
  ///   - body: writes the content in order; when it throws, the temporary file is removed and the old content stays.
  /// - Throws: `.system`; of kind `.exhausted` with the path when the disk or the quota is full.
  package static func write(
    to path: String, mode: mode_t = 0o600, replacing: Bool = true,
    _ body: (AtomicFileWriter) throws(FileError) -> Void
  ) throws(FileError) {
    let writer = try AtomicFileWriter(path: path, mode: mode)
    do throws(FileError) {
      try body(writer)
      try writer.publish(replacing: replacing)
    } catch {
      writer.discard()
      throw error
    }
  }

  package static func write(
    _ bytes: Data, to path: String, mode: mode_t = 0o600, replacing: Bool = true
  ) throws(FileError) {
    try write(to: path, mode: mode, replacing: replacing) { (writer) throws(FileError) in
      try writer.write(bytes)
    }
  }

  /// As above, from memory that may hold a secret: no copy of it is made.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to path: String, mode: mode_t = 0o600, replacing: Bool = true
  ) throws(FileError) {
    try write(to: path, mode: mode, replacing: replacing) { (writer) throws(FileError) in
      try writer.write(bytes)
    }
  }

  /// Removes temporary files that a killed process left in `directory`. Only for a directory with one writing process.
  package static func removeLeftovers(in directory: String) throws(FileError) {
    for name in try Directory.names(in: directory) where isTemporaryName(name) {
      try Directory.remove(directory + "/" + name)
    }
  }

  private static let temporaryPrefix = ".writing-"

  static func temporaryName(_ number: UInt64) -> String {
    temporaryPrefix + number.hexadecimal
  }

  /// Whether it is the name of a file that is being written, or was when its process was killed.
  package static func isTemporaryName(_ name: String) -> Bool {
    let digits = name.dropFirst(temporaryPrefix.count)
    return name.hasPrefix(temporaryPrefix) && digits.utf8.count == 16 && digits.allSatisfy(\.isHexDigit)
  }
}

/// A file that is written over some time and appears under its name when it is whole and on the disk; until then it has a
/// temporary name in the same directory, and is removed when this object is released.
///
/// What `AtomicFile` does in one call. A temporary that a kill leaves is one of its leftovers. Nothing is buffered, so that secrets leave
/// no copy here. Used by one thread at a time (not `Sendable`).
package final class AtomicFileWriter {
  /// Where the file appears.
  package let path: String
  /// Where its content is until then, for a library that opens files by their names.
  package let temporaryPath: String
  private let file: OpenFile
  private var isFinished = false
  /// Bytes written so far.
  package private(set) var offset = 0

  /// - Parameter mode: as in `AtomicFile.write`.
  package init(path: String, mode: mode_t = 0o600) throws(FileError) {
    self.path = path
    temporaryPath =
      Directory.containing(path) + "/" + AtomicFile.temporaryName(UInt64.random(in: .min ... .max))
    do throws(FileError) {
      file = try OpenFile.open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, as: .create)
    } catch {
      throw error.renamed(from: temporaryPath, to: path)
    }
    try naming { () throws(FileError) in try file.ensureOwnersPermissions(of: mode) }
  }

  deinit {
    discard()
  }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    try naming { () throws(FileError) in try file.write(bytes, at: offset) }
    offset += bytes.count
  }

  package func write(_ bytes: [UInt8]) throws(FileError) {
    try naming { () throws(FileError) in try file.write(bytes, at: offset) }
    offset += bytes.count
  }

  package func write(_ bytes: Data) throws(FileError) {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(FileError) in try write(raw) }
    }
    try result.get()
  }

  /// Writes over what is there already.
  func overwrite(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    try naming { () throws(FileError) in try file.write(bytes, at: offset) }
  }

  /// Syncs the file, gives it its name and syncs the directory.
  ///
  /// - Parameter replacing: false refuses to overwrite an existing file (EEXIST).
  package func publish(replacing: Bool = true) throws(FileError) {
    try naming { () throws(FileError) in
      try file.sync()
      if replacing {
        guard rename(temporaryPath, path) == 0 else { throw .system(.rename, path: path, code: errno) }
      } else {
        // link fails where the name exists, also between machines; rename would replace it.
        guard link(temporaryPath, path) == 0 else { throw .system(.create, path: path, code: errno) }
        unlink(temporaryPath)
      }
      isFinished = true
      try Directory.sync(Directory.containing(path))
    }
  }

  /// Removes what was written so far; does nothing once the file has its name.
  package func discard() {
    guard !isFinished else { return }
    isFinished = true
    // Somebody else may still have the file open, and with it the room that is needed.
    ftruncate(file.descriptor, 0)
    unlink(temporaryPath)
  }

  /// Errors name the file a person asked for.
  private func naming(_ body: () throws(FileError) -> Void) throws(FileError) {
    do throws(FileError) {
      try body()
    } catch {
      throw error.renamed(from: temporaryPath, to: path)
    }
  }
}

extension FileError {
  /// Errors name the file a person asked for, not its temporary.
  fileprivate func renamed(from temporary: String, to path: String) -> FileError {
    guard case .system(let operation, temporary, let code) = self else { return self }
    return .system(operation, path: path, code: code)
  }
}
