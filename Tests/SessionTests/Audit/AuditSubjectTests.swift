import Foundation
import JobSpec
import LeakAudit
import OwnerRole
import Testing
import TestSupport

/// An audit is of a job, its data and its checkpoint, byte for byte.
@Suite struct AuditSubjectTests {
  @Test func aJobOfFeaturesHasNoCheckpoint() throws {
    let directory = try TemporaryDirectory()
    let job = SmallJob().resolved(on: try SmallData(in: directory, rows: 44))
    #expect(try AuditSubject(job).checkpointDigest == nil)
  }

  /// The job names only the directory: other bytes under the same name are another checkpoint.
  @Test(arguments: ["config.json", "model.safetensors"])
  func otherBytesInTheCheckpointAreAnotherSubject(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let job = try TokenJob().resolved(on: TokenData(in: directory))
    let before = try AuditSubject(job)
    #expect(before.checkpointDigest?.count == 64)
    #expect(try AuditSubject(job) == before)
    guard case .huggingFace(let model) = job.model else {
      Issue.record("no checkpoint")
      return
    }
    let file = URL(filePath: model.directory).appending(path: name)
    var bytes = try Data(contentsOf: file)
    if name == "config.json" {
      // White space: the same model by another file.
      bytes.append(UInt8(ascii: "\n"))
    } else {
      // The last byte of the last number.
      bytes[bytes.count - 1] ^= 1
    }
    try bytes.write(to: file)
    let after = try AuditSubject(job)
    #expect(after.checkpointDigest != before.checkpointDigest)
    #expect((after.jobDigest, after.dataDigest) == (before.jobDigest, before.dataDigest))
  }
}
