import Glibc

/// Creates key files: never over an existing file, and on the disk when the call returns.
enum KeyFileWriter {
  /// - Throws: `.alreadyExists`; `.system`, after which the file is gone again.
  static func create(_ path: String, mode: mode_t, content: UnsafeRawBufferPointer) throws(KeyFileError) {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard file >= 0 else {
      throw errno == EEXIST ? .alreadyExists(path: path) : .system(operation: "create", path: path, code: errno)
    }
    do {
      try write(content, to: file, path: path)
    } catch {
      close(file)
      unlink(path)
      throw error
    }
    // Some file systems report a full disk only here.
    guard close(file) == 0 else {
      let code = errno
      unlink(path)
      throw .system(operation: "close", path: path, code: code)
    }
  }

  /// Makes the directory (0700) where there is none; those above it must exist.
  static func createDirectory(_ path: String) throws(KeyFileError) {
    guard mkdir(path, S_IRWXU) != 0, errno != EEXIST else { return }
    throw .system(operation: "create the directory", path: path, code: errno)
  }

  /// Makes the names of new files in the directory durable.
  static func synchronizeDirectory(_ path: String) throws(KeyFileError) {
    let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw .system(operation: "open", path: path, code: errno) }
    defer { close(directory) }
    // Some network file systems know no fsync of directories; their names are durable already.
    guard fsync(directory) == 0 || errno == EINVAL else {
      throw .system(operation: "write to disk", path: path, code: errno)
    }
  }

  private static func write(
    _ content: UnsafeRawBufferPointer, to file: Int32, path: String
  ) throws(KeyFileError) {
    var written = 0
    while written < content.count {
      let count = Glibc.write(file, content.baseAddress.map { $0 + written }, content.count - written)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .system(operation: "write", path: path, code: errno) }
      written += count
    }
    guard fsync(file) == 0 else { throw .system(operation: "write to disk", path: path, code: errno) }
  }
}
