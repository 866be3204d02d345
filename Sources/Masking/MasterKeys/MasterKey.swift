package import Foundations
internal import Models
internal import Cryptography
internal import Files
internal import Foundation

/// A job's 256-bit master key; every key of the job is expanded from it.
///
/// `SecretBuffer` overwrites its memory when the last reference is released. Descriptions and reflection show nothing of it.
package final class MasterKey: Sendable {
  static let byteCount = 32

  /// The one job the key is for; part of every label, so that even a reused key would give other masks.
  package let job: JobID
  let secret: SecretBuffer

  /// A fresh key from the operating system's generator.
  ///
  /// - Parameter job: a fresh id where none is given, for keys of work that is not kept.
  package convenience init(for job: JobID = .random()) {
    self.init(job: job, secret: SecretBuffer.random(byteCount: Self.byteCount))
  }

  init(job: JobID, secret: SecretBuffer) {
    self.job = job
    self.secret = secret
  }

  /// The numbers that a space's key of one kind is drawn from, label `job/space/kind`.
  ///
  /// - Parameter kind: without a slash, so that no two labels coincide.
  func stream(_ space: SpaceID, kind: String) -> KeyStream {
    KeyStream(secret: secret, label: "\(job)/\(space)/\(kind)")
  }
}

extension MasterKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "master key of job \(job) (hidden)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A master key at rest: the 16 bytes "job master key 1", the job's 32 hexadecimal digits, the 32 bytes of the key.
package struct MasterKeyFile: Sendable {
  private static let magic = Array("job master key 1".utf8)
  private static let jobDigits = 2 * JobID.byteCount
  private static let byteCount = magic.count + jobDigits + MasterKey.byteCount

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// Creates the file, readable by its owner alone, and returns when it is on disk.
  ///
  /// - Throws: `MaskingError.keyFileExists` rather than overwrite; `.keyFileNeedsRoom` on a full disk and `.keyFileUnusable` for what else the
  ///   operating system refuses, and no part of a file is left then.
  package func write(_ key: MasterKey) throws(MaskingError) {
    let content = SecretBuffer(byteCount: Self.byteCount)
    content.bytes.copyBytes(from: Self.magic + Array(key.job.description.utf8))
    key.secret.withUnsafeBytes { secret in
      UnsafeMutableRawBufferPointer(rebasing: content.bytes.suffix(MasterKey.byteCount)).copyMemory(from: secret)
    }
    let written = content.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try AtomicFile.write(bytes, to: path, replacing: false) }
    }
    do throws(FileError) {
      try written.get()
    } catch {
      switch error {
      case .system(.create, _, EEXIST): throw .keyFileExists(path: path)
      case .system(_, _, let code): throw unusable(code)
      default: throw .keyFileUnusable(path: path, reason: error.description)
      }
    }
  }

  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not a key file, of another job.
  package func read(job: JobID) throws(MaskingError) -> MasterKey {
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
    let jobEnd = Self.magic.count + Self.jobDigits
    guard content.bytes.prefix(Self.magic.count).elementsEqual(Self.magic) else { throw .notAKeyFile(path: path) }
    guard content.bytes[Self.magic.count..<jobEnd].elementsEqual(job.description.utf8) else {
      throw .keyFileOfAnotherJob(path: path)
    }
    let secret = content.withUnsafeBytes { SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: $0[jobEnd...])) }
    return MasterKey(job: job, secret: secret)
  }

  private func unusable(_ code: Int32 = errno) -> MaskingError {
    let reason = String(cString: strerror(code))
    return [ENOSPC, EDQUOT, EFBIG].contains(code)
      ? .keyFileNeedsRoom(path: path, reason: reason) : .keyFileUnusable(path: path, reason: reason)
  }
}
