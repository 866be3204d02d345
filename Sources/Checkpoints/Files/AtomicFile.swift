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
