package import Cryptography
internal import Foundations

/// What one party of one private run draws its noise and its batches from: 256 bits that nobody else has, and that the run needs again to repeat
/// a step with the same bits after a kill. Whoever has it can take the noise off.
package final class PrivacySecret: Sendable {
  static let byteCount = 32

  let secret: SecretBuffer

  /// A fresh one from the operating system's generator.
  package init() {
    secret = SecretBuffer.random(byteCount: Self.byteCount)
  }

  init(secret: SecretBuffer) {
    self.secret = secret
  }

  /// 256 bits for one purpose: HKDF-SHA256 with `purpose` as info.
  package func derived(_ purpose: String) -> SecretBuffer {
    secret.withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: Array("privacy/\(purpose)".utf8), byteCount: Self.byteCount)
    }
  }
}

extension PrivacySecret: HiddenSecret {
  package var description: String { "privacy secret (hidden)" }
}

/// A privacy secret at rest: the 16 bytes "privacy secret 1" and the 32 bytes of the secret. Its user's alone (0600).
package struct PrivacySecretFile: Sendable {
  private static let magic = Array("privacy secret 1".utf8)

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// Returns when it is on disk.
  ///
  /// - Throws: as `MasterKeyFile.write`.
  package func write(_ secret: PrivacySecret) throws(MaskingError) {
    try SecretFile(path: path).write(Self.magic, secret.secret)
  }

  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not such a file.
  package func read() throws(MaskingError) -> PrivacySecret {
    PrivacySecret(secret: try SecretFile(path: path).read(magic: Self.magic, secret: PrivacySecret.byteCount).secret)
  }
}
