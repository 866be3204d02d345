import ArgumentParser
import Attacks
import Foundation
import JobSpec
import OwnerSession

/// Where to find the audit that a job with a gate needs before it is sent.
struct AuditOption: ParsableArguments {
  @Option(
    name: .customLong("audit"),
    help: ArgumentHelp(
      "The directory of the job's audit, for a job with audit.gate. (default: audits/NAME)", valueName: "directory"),
    completion: .directory)
  var directory: String?

  static func defaultDirectory(_ job: ResolvedJob) -> String { "audits/\(job.name)" }

  /// - Throws: `AuditError` unless the job has no gate, or an audit of just this job and its data passes it.
  func check(_ job: ResolvedJob) throws {
    guard let gate = job.audit else { return }
    let directory = AuditDirectory(root: URL(filePath: directory ?? Self.defaultDirectory(job)))
    let report = try directory.load()
    let subject = try AuditSubject(job)
    guard report.jobDigest == subject.jobDigest else {
      throw AuditError.otherSubject(path: directory.json.path, difference: "the resolved job differs")
    }
    guard report.dataDigest == subject.dataDigest else {
      throw AuditError.otherSubject(path: directory.json.path, difference: "the data file differs")
    }
    try GateCheck(gate).check(report)
  }
}
