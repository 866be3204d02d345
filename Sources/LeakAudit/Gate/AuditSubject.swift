import OwnerRole
import Checkpoints
import Crypto
import Foundation
package import JobSpec

/// What an audit is an audit of, as digests: a run may rely on one only if all are its own.
package struct AuditSubject: Sendable, Equatable {
  /// Of everything in the resolved job that decides what the provider sees; the trainer's address does not.
  package let jobDigest: String
  /// Of the data file's bytes.
  package let dataDigest: String
  /// Of the bytes of the checkpoint's files, for the job names only their directory; nil where it names none.
  package let checkpointDigest: String?

  /// Reads the data file and the checkpoint once.
  ///
  /// - Throws: `OwnerError.unfitData` when a file cannot be read; `CheckpointError` for a directory that is no checkpoint.
  package init(_ job: ResolvedJob) throws {
    jobDigest = Self.text(SHA256.hash(data: Data(job.auditedYAML.utf8)))
    dataDigest = Self.text(try Self.digest(ofFile: job.data.file))
    if case .huggingFace(let model) = job.model {
      checkpointDigest = Self.text(try Self.digest(of: HuggingFaceDirectory(model.directory).files))
    } else {
      checkpointDigest = nil
    }
  }

  /// Of the files' names and digests, so that bytes cannot move from one to the next unseen.
  private static func digest(of files: [String]) throws -> SHA256.Digest {
    var hash = SHA256()
    for file in files {
      hash.update(data: Data(SHA256.hash(data: Data(URL(filePath: file).lastPathComponent.utf8))))
      hash.update(data: Data(try digest(ofFile: file)))
    }
    return hash.finalize()
  }

  private static func digest(ofFile path: String) throws -> SHA256.Digest {
    guard let file = FileHandle(forReadingAtPath: path) else { throw OwnerError.unfitData("\(path) cannot be read") }
    defer { try? file.close() }
    var hash = SHA256()
    do {
      while let block = try file.read(upToCount: 1 << 22), !block.isEmpty { hash.update(data: block) }
    } catch {
      throw OwnerError.unfitData("\(path) cannot be read: \(error.localizedDescription)")
    }
    return hash.finalize()
  }

  private static func text(_ digest: SHA256.Digest) -> String {
    digest.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }
}
