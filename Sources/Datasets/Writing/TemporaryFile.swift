import Foundation

/// A name beside a file that is being written, so that the file itself appears whole or not at all.
struct TemporaryFile {
  let destination: String
  let path: String

  init(beside destination: String) {
    self.destination = destination
    let url = URL(fileURLWithPath: destination)
    let unique = "\(getpid())-\(UInt64.random(in: 0 ... .max))"
    path = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).\(unique)").path
  }

  /// Brings the content to the disk, gives it its name, and brings that to the disk too.
  func publish() throws(DatasetError) {
    try sync(path)
    guard rename(path, destination) == 0 else { throw failure("cannot be renamed") }
    try sync(URL(fileURLWithPath: destination).deletingLastPathComponent().path)
  }

  func remove() {
    // After a failed write libhdf5 may keep the file open, and with it the room that is needed.
    truncate(path, 0)
    unlink(path)
  }

  /// Creates the file, so that the system says why it cannot be, and removes it again.
  func checkWritable() throws(DatasetError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("cannot be created") }
    close(descriptor)
    remove()
  }

  private func sync(_ path: String) throws(DatasetError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("cannot be opened") }
    let status = fsync(descriptor)
    let number = errno
    close(descriptor)
    errno = number
    // Some file systems do not sync directories, and say so.
    guard status == 0 || number == EINVAL else { throw failure("cannot be brought to the disk") }
  }

  private func failure(_ problem: String) -> DatasetError {
    let location = DataLocation(file: destination)
    switch errno {
    case ENOSPC, EDQUOT, EFBIG: return .diskFull(location)
    case EACCES, EPERM, EROFS: return DatasetError(.notPermitted, location, "no permission to write here")
    default: return DatasetError(.writeFailed, location, "it \(problem): \(String(cString: strerror(errno)))")
    }
  }
}
