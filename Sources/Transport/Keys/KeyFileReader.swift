import Glibc

/// Reads a small file whole, checking what was opened rather than what the path named a moment before.
enum KeyFileReader {
  /// Whether the file may hold only what no other account reads.
  enum Privacy {
    case secret
    case everyone
  }

  /// The file's bytes, in memory that is zeroed afterwards.
  ///
  /// - Throws: `.missing`, `.readableByOthers`, `.notARegularFile`, `.malformed` when longer than `maximumBytes`, `.system`.
  static func read(_ path: String, privacy: Privacy, maximumBytes: Int) throws(KeyFileError) -> SecretBytes {
    // Non-blocking, so that a named pipe cannot make the program wait; a regular file does not care.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      throw errno == ENOENT ? .missing(path: path) : .system(operation: "open", path: path, code: errno)
    }
    defer { close(file) }

    var status = stat()
    guard fstat(file, &status) == 0 else { throw .system(operation: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    if privacy == .secret, status.st_mode & (S_IRWXG | S_IRWXO) != 0 { throw .readableByOthers(path: path) }
    guard let size = Int(exactly: status.st_size), size <= maximumBytes else {
      throw .malformed(path: path, reason: "it is longer than \(maximumBytes) bytes")
    }

    return try SecretBytes(count: size) { (bytes) throws(KeyFileError) in
      var filled = 0
      while filled < bytes.count {
        let count = Glibc.read(file, bytes.baseAddress.map { $0 + filled }, bytes.count - filled)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw .system(operation: "read", path: path, code: errno) }
        guard count > 0 else { throw .malformed(path: path, reason: "it changed while it was read") }
        filled += count
      }
    }
  }
}
