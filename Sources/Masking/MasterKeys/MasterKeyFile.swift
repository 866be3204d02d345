internal import Architecture
internal import Cryptography
internal import Foundation

/// A master key at rest: the 16 bytes "job master key 1", the job's 32 hexadecimal digits, the 32 bytes of the key.
package struct MasterKeyFile: Sendable {
  private static let magic = Array("job master key 1".utf8)
  private static let byteCount = magic.count + JobIdentifier.characterCount + MasterKey.byteCount

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// Creates the file, readable by its owner alone, and returns when it is on disk.
  ///
  /// - Throws: `MaskingError.keyFileExists` rather than overwrite; `.keyFileNeedsRoom` on a full disk and `.keyFileUnusable` for what else the
  ///   operating system refuses, and no part of a file is left then.
  package func write(_ key: MasterKey) throws(MaskingError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor < 0 {
      throw errno == EEXIST ? .keyFileExists(path: path) : unusable()
    }
    defer { close(descriptor) }
    let content = SecretBuffer(byteCount: Self.byteCount)
    content.bytes.copyBytes(from: Self.magic + Array(key.job.description.utf8))
    key.secret.withUnsafeBytes { secret in
      UnsafeMutableRawBufferPointer(rebasing: content.bytes.suffix(MasterKey.byteCount)).copyMemory(from: secret)
    }
    // The mode given to open passes through the umask, which may have taken the owner's own bits.
    guard fchmod(descriptor, 0o600) == 0,
      Foundation.write(descriptor, content.bytes.baseAddress, Self.byteCount) == Self.byteCount,
      fsync(descriptor) == 0
    else {
      let error = unusable()
      unlink(path)
      throw error
    }
    try synchronizeDirectory()
  }

  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not a key file, of another job.
  package func read(job: JobIdentifier) throws(MaskingError) -> MasterKey {
    // Non-blocking, because opening a named pipe would otherwise wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw unusable() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unusable() }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAKeyFile(path: path) }
    guard status.st_mode & 0o077 == 0 else { throw .keyFileExposed(path: path) }
    guard status.st_size == Self.byteCount else { throw .notAKeyFile(path: path) }
    let content = SecretBuffer(byteCount: Self.byteCount)
    guard Foundation.read(descriptor, content.bytes.baseAddress, Self.byteCount) == Self.byteCount else {
      throw unusable()
    }
    let jobEnd = Self.magic.count + JobIdentifier.characterCount
    guard content.bytes.prefix(Self.magic.count).elementsEqual(Self.magic) else { throw .notAKeyFile(path: path) }
    guard content.bytes[Self.magic.count..<jobEnd].elementsEqual(job.description.utf8) else {
      throw .keyFileOfAnotherJob(path: path)
    }
    let secret = SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: content.bytes[jobEnd...]))
    return MasterKey(job: job, secret: secret)
  }

  /// A new name is safe from a power cut only once its directory is written.
  private func synchronizeDirectory() throws(MaskingError) {
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unusable() }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw unusable() }
  }

  private func unusable() -> MaskingError {
    let code = errno
    let reason = String(cString: strerror(code))
    return [ENOSPC, EDQUOT, EFBIG].contains(code)
      ? .keyFileNeedsRoom(path: path, reason: reason) : .keyFileUnusable(path: path, reason: reason)
  }
}
