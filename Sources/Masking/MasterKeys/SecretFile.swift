internal import Cryptography
internal import Files
internal import Foundation

/// A secret of which neither description nor reflection shows anything: a type says what it is, and no more.
package protocol HiddenSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension HiddenSecret {
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A file of a few public bytes that say what it is, and a secret behind them. Its user's alone (0600).
struct SecretFile {
  let path: String

  /// Creates the file and returns when it is on disk.
  ///
  /// - Throws: `MaskingError.keyFileExists` rather than overwrite; `.keyFileNeedsRoom` on a full disk and `.keyFileUnusable` for what else the
  ///   operating system refuses, and no part of a file is left then.
  ///
  /// - Parameter replacing: puts it in the place of a file that is there.
  func write(_ head: [UInt8], _ secret: SecretBuffer, replacing: Bool = false) throws(MaskingError) {
    let content = SecretBuffer(byteCount: head.count + secret.bytes.count)
    content.bytes.copyBytes(from: head)
    secret.withUnsafeBytes { secret in
      UnsafeMutableRawBufferPointer(rebasing: content.bytes.suffix(secret.count)).copyMemory(from: secret)
    }
    let written = content.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try AtomicFile.write(bytes, to: path, replacing: replacing) }
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

  /// - Parameters:
  ///   - magic: what the file begins with.
  ///   - name: public bytes behind it.
  ///   - secret: bytes of the secret, which end the file.
  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not such a file.
  func read(magic: [UInt8], name: Int = 0, secret: Int) throws(MaskingError) -> (name: [UInt8], secret: SecretBuffer) {
    // Non-blocking, because opening a named pipe would otherwise wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw unusable() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unusable() }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAKeyFile(path: path) }
    guard status.st_mode & 0o077 == 0 else { throw .keyFileExposed(path: path) }
    let count = magic.count + name + secret
    guard status.st_size == count else { throw .notAKeyFile(path: path) }
    let content = SecretBuffer(byteCount: count)
    guard Foundation.read(descriptor, content.bytes.baseAddress, count) == count else { throw unusable() }
    guard content.bytes.prefix(magic.count).elementsEqual(magic) else { throw .notAKeyFile(path: path) }
    let end = magic.count + name
    return content.withUnsafeBytes { bytes in
      (Array(bytes[magic.count..<end]), SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: bytes[end...])))
    }
  }

  private func unusable(_ code: Int32 = errno) -> MaskingError {
    let reason = String(cString: strerror(code))
    return [ENOSPC, EDQUOT, EFBIG].contains(code)
      ? .keyFileNeedsRoom(path: path, reason: reason) : .keyFileUnusable(path: path, reason: reason)
  }
}
