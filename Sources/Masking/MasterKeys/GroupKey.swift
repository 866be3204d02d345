internal import Foundations
package import Cryptography

/// The key that all sites of a federation have and its aggregator has not: what the global model is masked with, and what its starting
/// weights are drawn from. One file may serve several federations: everything is derived for one charter.
package final class GroupKey: Sendable {
  static let byteCount = 32

  let secret: SecretBuffer

  /// A fresh key from the operating system's generator.
  package init() {
    secret = SecretBuffer.random(byteCount: Self.byteCount)
  }

  init(secret: SecretBuffer) {
    self.secret = secret
  }

  /// The master key of the federation's spaces.
  ///
  /// - Parameter charter: SHA-256 of the charter's bytes, 32 of them.
  package func master(charter: [UInt8]) -> MasterKey {
    MasterKey(job: JobID(bytes: Array(charter.prefix(JobID.byteCount))), secret: derived("spaces", charter))
  }

  /// What starting weights are drawn from.
  package func startingWeights(charter: [UInt8]) -> SecretBuffer {
    derived("starting weights", charter)
  }

  /// What sites compare, through the aggregator, to find out whether all have the same key for a charter: 64 hexadecimal digits that tell nothing
  /// of the key, which is 256 random bits, and nothing of what else is derived from it.
  package func check(charter: [UInt8]) -> String {
    derived("check", charter).withUnsafeBytes { Array($0).hexadecimal }
  }

  private func derived(_ purpose: String, _ charter: [UInt8]) -> SecretBuffer {
    secret.withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: Array("federation/\(purpose)/".utf8) + charter, byteCount: MasterKey.byteCount)
    }
  }
}

extension GroupKey: HiddenSecret {
  package var description: String { "group key (hidden)" }
}

/// A group key at rest: the 16 bytes "sites' group key" and the 32 bytes of the key.
package struct GroupKeyFile: Sendable {
  private static let magic = Array("sites' group key".utf8)

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// - Throws: as `MasterKeyFile.write`.
  package func write(_ key: GroupKey) throws(MaskingError) {
    try SecretFile(path: path).write(Self.magic, key.secret)
  }

  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not a key file.
  package func read() throws(MaskingError) -> GroupKey {
    GroupKey(secret: try SecretFile(path: path).read(magic: Self.magic, secret: GroupKey.byteCount).secret)
  }
}
