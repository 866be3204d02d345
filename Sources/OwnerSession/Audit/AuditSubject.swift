import Crypto
import Foundation
package import JobSpec

/// What an audit is an audit of, as digests: a run may rely on one only if both are its own.
package struct AuditSubject: Sendable, Equatable {
  /// Of everything in the resolved job that decides what the provider sees; the trainer's address does not.
  package let jobDigest: String
  /// Of the data file's bytes.
  package let dataDigest: String

  /// Reads the data file once.
  ///
  /// - Throws: `OwnerError.unfitData` when it cannot be read.
  package init(_ job: ResolvedJob) throws {
    jobDigest = Self.text(SHA256.hash(data: Data(job.auditedYAML.utf8)))
    guard let file = FileHandle(forReadingAtPath: job.data.file) else {
      throw OwnerError.unfitData("\(job.data.file) cannot be read")
    }
    defer { try? file.close() }
    var hash = SHA256()
    do {
      while let block = try file.read(upToCount: 1 << 22), !block.isEmpty { hash.update(data: block) }
    } catch {
      throw OwnerError.unfitData("\(job.data.file) cannot be read: \(error.localizedDescription)")
    }
    dataDigest = Self.text(hash.finalize())
  }

  private static func text(_ digest: SHA256.Digest) -> String {
    digest.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }
}
