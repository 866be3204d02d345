package import Foundations
internal import Models
internal import Cryptography

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

  /// What tells two keys of a job apart and nothing of either: 64 hexadecimal digits, label `job/check`.
  package var check: String {
    secret.withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: Array("\(job)/check".utf8), byteCount: Self.byteCount)
    }.withUnsafeBytes { Array($0).hexadecimal }
  }

  /// What a private job of this key draws its noise and its batches from, label `job/privacy`; nothing of the key can be told from it.
  package var privacySecret: PrivacySecret {
    secret.withUnsafeBytes {
      PrivacySecret(
        secret: HKDF.deriveKey(
          from: $0, info: Array("\(job)/privacy".utf8), byteCount: PrivacySecret.byteCount))
    }
  }
}

extension MasterKey: HiddenSecret {
  package var description: String { "master key of job \(job) (hidden)" }
}

/// A master key at rest: the 16 bytes "job master key 1", the job's 32 hexadecimal digits, the 32 bytes of the key.
package struct MasterKeyFile: Sendable {
  private static let magic = Array("job master key 1".utf8)

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// Creates the file, readable by its owner alone, and returns when it is on disk.
  ///
  /// - Parameter replacing: a deployment's key in the place of the one before; a job's never.
  /// - Throws: `MaskingError.keyFileExists` rather than overwrite; `.keyFileNeedsRoom` on a full disk and `.keyFileUnusable` for what else the
  ///   operating system refuses, and no part of a file is left then.
  package func write(_ key: MasterKey, replacing: Bool = false) throws(MaskingError) {
    try SecretFile(path: path).write(Self.magic + Array(key.job.description.utf8), key.secret, replacing: replacing)
  }

  /// - Throws: `MaskingError` of kind `keyOrPermission`: not there, open to other users, not a key file, of another job.
  package func read(job: JobID) throws(MaskingError) -> MasterKey {
    let (name, secret) = try SecretFile(path: path).read(
      magic: Self.magic, name: 2 * JobID.byteCount, secret: MasterKey.byteCount)
    guard name.elementsEqual(job.description.utf8) else { throw .keyFileOfAnotherJob(path: path) }
    return MasterKey(job: job, secret: secret)
  }
}
