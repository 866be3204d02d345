import Architecture
import ArgumentParser
import LeakAudit
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

  /// - Throws: `OwnerError.unfitJob` for a name that is no directory of its own.
  static func defaultDirectory(_ job: ResolvedJob) throws -> String {
    guard job.name.contains(where: { $0 != "." }) else {
      throw OwnerError.unfitJob("name: \(job.name) is no name for a directory; say where the audit is: --out, --audit")
    }
    return "audits/\(job.name)"
  }

  /// - Throws: `AuditError` unless the job has no gate, or this version's audit of just this job, data and checkpoint passes it.
  func check(_ job: ResolvedJob) throws {
    guard let gate = job.audit else { return }
    let directory = AuditDirectory(root: URL(filePath: try directory ?? Self.defaultDirectory(job)))
    let report = try directory.load()
    let subject = try AuditSubject(job)
    let differences = [
      (report.program == Release.software, "it was made by \(report.program), and this is \(Release.software)"),
      (report.jobDigest == subject.jobDigest, "the resolved job differs"),
      (report.dataDigest == subject.dataDigest, "the data file differs"),
      (report.checkpointDigest == subject.checkpointDigest, "the files of the checkpoint differ"),
    ]
    if let difference = differences.first(where: { !$0.0 })?.1 {
      throw AuditError.otherSubject(path: directory.json.path, difference: difference)
    }
    try Self.check(report, gate)
  }

  /// Says what passes only because there is nothing to attack: the owner may have meant something else.
  static func check(_ report: AuditReport, _ gate: AuditGate) throws {
    for notice in try GateCheck(gate).check(report) { StandardError.write("audit.gate passes \(notice)\n") }
  }
}
