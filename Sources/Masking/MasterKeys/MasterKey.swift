internal import Architecture
internal import Cryptography
internal import Foundation

/// A job's 256-bit master key; every key of the job is expanded from it.
///
/// `SecretBuffer` overwrites its memory when the last reference goes. Descriptions and reflection show nothing of it.
package final class MasterKey: Sendable {
  static let byteCount = 32

  /// The one job the key is for; part of every label, so that even a reused key would give other masks.
  package let job: JobIdentifier
  let secret: SecretBuffer

  /// A fresh key from the operating system's generator.
  package convenience init(for job: JobIdentifier) {
    self.init(job: job, secret: SecretBuffer.random(byteCount: Self.byteCount))
  }

  init(job: JobIdentifier, secret: SecretBuffer) {
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
