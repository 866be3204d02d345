import Foundation

/// Reads a job's file within the size limit.
enum JobFile {
  static func read(_ path: String) throws(JobSpecError) -> [UInt8] {
    // Non-blocking, so that a named pipe given by mistake is refused below instead of waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure(path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path, errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw JobSpecError(.unreadable(path: path, problem: "not a regular file", isPermission: false))
    }
    var bytes = [UInt8](repeating: 0, count: YAMLDocument.maximumBytes + 1)
    var filled = 0
    while filled < bytes.count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        Foundation.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
      }
      if got == 0 { break }
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(path, errno)
      }
      filled += got
    }
    // One byte above the limit is kept, so that the parser refuses the size.
    return Array(bytes.prefix(filled))
  }

  private static func failure(_ path: String, _ code: Int32) -> JobSpecError {
    JobSpecError(
      .unreadable(path: path, problem: String(cString: strerror(code)), isPermission: code == EACCES || code == EPERM))
  }
}
