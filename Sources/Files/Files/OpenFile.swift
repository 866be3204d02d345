import Foundations
package import Foundation

/// A file descriptor that is closed once, when the last reference goes.
///
/// Sendable without locks: the descriptor never changes, and reads and writes name their offset (pread, pwrite), so that
/// threads share no file position.
final class OpenFile: Sendable {
  let descriptor: Int32
  let path: String

  private init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit {
    close(descriptor)
  }

  /// - Parameter flags: of open(2); O_CLOEXEC is added.
  static func open(
    _ path: String, _ flags: Int32, mode: mode_t = 0o600, as operation: SystemOperation = .open
  ) throws(FileError) -> OpenFile {
    while true {
      let descriptor = Foundation.open(path, flags | O_CLOEXEC, mode)
      if descriptor >= 0 { return OpenFile(descriptor: descriptor, path: path) }
      let code = errno
      if code != EINTR { throw .system(operation, path: path, code: code) }
    }
  }

  /// A file that has no name: made in `directory` and at once unlinked, readable by its owner only, gone when closed.
  /// Errors name the directory.
  static func unnamed(in directory: String) throws(FileError) -> OpenFile {
    let name = directory + "/.unnamed-" + UInt64.random(in: .min ... .max).hexadecimal
    let descriptor = Foundation.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system(.create, path: directory, code: errno) }
    let file = OpenFile(descriptor: descriptor, path: directory)
    guard unlink(name) == 0 else { throw .system(.remove, path: name, code: errno) }
    return file
  }

  /// Opens a regular file for reading; a named pipe or a device is refused instead of waited for.
  ///
  /// - Throws: `.system`, `.file(.notRegular)`.
  static func openRegular(_ path: String) throws(FileError) -> OpenFile {
    let file = try open(path, O_RDONLY | O_NONBLOCK)
    switch try file.status().st_mode & S_IFMT {
    case S_IFREG: return file
    case S_IFDIR: throw .system(.read, path: path, code: EISDIR)
    default: throw .file(path: path, .notRegular)
    }
  }

  func status() throws(FileError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(.read) }
    return status
  }

  /// Gives the file's owner the permissions that `mode` has for it, where the process's umask took them.
  func ensureOwnersPermissions(of mode: mode_t) throws(FileError) {
    let present = try status().st_mode & 0o777
    guard present & 0o700 != mode & 0o700 else { return }
    guard fchmod(descriptor, present | mode & 0o700) == 0 else { throw failure(.create) }
  }

  func length() throws(FileError) -> Int {
    Int(try status().st_size)
  }

  /// Fills `buffer` from `offset`.
  ///
  /// - Returns: the bytes read, fewer than asked only when the file ends there.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      if got == 0 { break }
      if got < 0 {
        let code = errno
        if code == EINTR { continue }
        throw .system(.read, path: path, code: code)
      }
      filled += got
    }
    return filled
  }

  func read(into bytes: inout [UInt8], at offset: Int) throws(FileError) -> Int {
    let result = bytes.withUnsafeMutableBytes { raw in
      Result { () throws(FileError) in try read(into: raw, at: offset) }
    }
    return try result.get()
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(FileError) in try write(raw, at: offset) }
    }
    try result.get()
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
      let wrote = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if wrote < 0 {
        let code = errno
        if code == EINTR { continue }
        throw .system(.write, path: path, code: code)
      }
      done += wrote
    }
  }

  /// Sets the length: a shorter file loses its end, a longer one gains zeros that take no space.
  func truncate(to length: Int) throws(FileError) {
    while ftruncate(descriptor, off_t(length)) != 0 {
      let code = errno
      if code != EINTR { throw .system(.truncate, path: path, code: code) }
    }
  }

  /// Returns when the content has reached the disk.
  func sync() throws(FileError) {
    while fsync(descriptor) != 0 {
      let code = errno
      if code != EINTR { throw .system(.sync, path: path, code: code) }
    }
  }

  private func failure(_ operation: SystemOperation) -> FileError {
    .system(operation, path: path, code: errno)
  }
}

/// Small files that are read or copied whole.
package enum RegularFile {
  /// Whether there is a regular file, links followed.
  package static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// The bytes of a file; nil when there are more than `limit`.
  package static func read(_ path: String, limit: Int) throws(FileError) -> [UInt8]? {
    let file = try OpenFile.openRegular(path)
    let length = try file.length()
    guard length <= limit else { return nil }
    var bytes = [UInt8](repeating: 0, count: length)
    let got = try file.read(into: &bytes, at: 0)
    return Array(bytes[..<got])
  }

  /// Whether two files of any size have the same bytes.
  package static func haveSameBytes(_ path: String, _ other: String) throws(FileError) -> Bool {
    let files = (try OpenFile.openRegular(path), try OpenFile.openRegular(other))
    guard try files.0.length() == files.1.length() else { return false }
    var pieces = ([UInt8](repeating: 0, count: 1 << 20), [UInt8](repeating: 0, count: 1 << 20))
    var offset = 0
    while true {
      let got = try files.0.read(into: &pieces.0, at: offset)
      guard try files.1.read(into: &pieces.1, at: offset) == got, pieces.0[..<got] == pieces.1[..<got] else {
        return false
      }
      if got == 0 { return true }
      offset += got
    }
  }

  /// Copies a file of any size, a piece at a time; the copy appears whole or not at all.
  package static func copy(_ path: String, to destination: String) throws(FileError) {
    let file = try OpenFile.openRegular(path)
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    try AtomicFile.write(to: destination) { (writer) throws(FileError) in
      while true {
        let got = try file.read(into: &piece, at: writer.offset)
        if got == 0 { return }
        try writer.write(Data(piece[..<got]))
      }
    }
  }
}

/// Files of settings and states, which are read whole.
package enum SmallFile {
  /// The bytes of a file; nil when there is none.
  ///
  /// - Throws: `.system`; `.file`, for one of more bytes than `limit` too.
  package static func read(_ path: String, limit: Int = 1 << 20) throws(FileError) -> Data? {
    var status = stat()
    if stat(path, &status) != 0, errno == ENOENT { return nil }
    guard let bytes = try RegularFile.read(path, limit: limit) else {
      throw .file(path: path, .tooLong(limit: limit))
    }
    return Data(bytes)
  }
}

/// Where the programs' results go.
package enum StandardOutput {
  /// Flushes what was printed.
  ///
  /// - Throws: `FileError` when it cannot be written, of kind `.exhausted` for a full disk. A reader that has seen enough and closed
  ///   its pipe is no error.
  package static func finish() throws(FileError) {
    guard fflush(nil) != 0, errno != EPIPE else { return }
    throw .system(.write, path: "standard output", code: errno)
  }
}
