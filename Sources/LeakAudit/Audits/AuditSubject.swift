import Cryptography
import Families
import Foundation
import Foundations
package import JobSpec
import Models
import OwnerRole

/// What an audit is an audit of, as digests: a run may rely on one only if all are its own.
package struct AuditSubject: Sendable, Equatable {
  /// Of everything in the resolved job that decides what the provider sees; the trainer's address does not. Of a deployment its record.
  package let jobDigest: String
  /// Of the data file's bytes.
  package let dataDigest: String
  /// Of the bytes of the checkpoint's files, for the job names only their directory; nil where it names none.
  package let checkpointDigest: String?

  /// Reads the data file and the checkpoint once.
  ///
  /// - Throws: `OwnerError.unfitData` when a file cannot be read; `FileError` for a directory that is no checkpoint.
  package init(_ job: ResolvedJob) throws {
    jobDigest = SHA256.hash(job.auditedYAML.utf8).bytes.hexadecimal
    dataDigest = try Self.digest(ofFile: job.data.file).bytes.hexadecimal
    if case .huggingFace(let model) = job.model {
      checkpointDigest = try Self.digest(of: HuggingFaceDirectory(model.directory).files).bytes.hexadecimal
    } else {
      checkpointDigest = nil
    }
  }

  /// Of a deployment: its record, and the file of the samples that are asked about.
  ///
  /// - Throws: `OwnerError.unfitData` when a file cannot be read.
  init(deployment record: String, data: String) throws {
    jobDigest = try Self.digest(ofFile: record).bytes.hexadecimal
    dataDigest = try Self.digest(ofFile: data).bytes.hexadecimal
    checkpointDigest = nil
  }

  /// Of the files' names and digests, so that bytes cannot move from one to the next unseen.
  private static func digest(of files: [String]) throws -> SHA256.Digest {
    var hash = SHA256()
    for file in files {
      hash.update(SHA256.hash(URL(filePath: file).lastPathComponent.utf8).bytes)
      hash.update(try digest(ofFile: file).bytes)
    }
    return hash.finalize()
  }

  private static func digest(ofFile path: String) throws -> SHA256.Digest {
    guard let file = FileHandle(forReadingAtPath: path) else { throw OwnerError.unfitData("\(path) cannot be read") }
    defer { try? file.close() }
    var hash = SHA256()
    do {
      while let block = try file.read(upToCount: 1 << 22), !block.isEmpty { hash.update(block) }
    } catch {
      throw OwnerError.unfitData("\(path) cannot be read: \(error.localizedDescription)")
    }
    return hash.finalize()
  }
}
