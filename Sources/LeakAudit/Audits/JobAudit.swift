package import Numerics
package import OwnerRole

/// An audit of what a job's provider can learn, under throw-away keys. Sends nothing.
package struct JobAudit {
  private let prepared: PreparedJob
  private let compute: Compute

  package init(_ prepared: PreparedJob, compute: Compute) {
    self.prepared = prepared
    self.compute = compute
  }

  /// Masks and trains as the job would, and attacks what its trainer then sees.
  ///
  /// - Parameters:
  ///   - minutes: for evidence and attacks together.
  ///   - program: that makes the report.
  /// - Throws: `OwnerError.unfitData` for files that cannot be read, `.tooLarge`, `.diverged`; `DatasetError`, `FileError`.
  package func report(
    minutes: Double, program: String, observe: (AuditProgress) -> Void
  ) throws -> AuditReport {
    let frame = AuditFrame(minutes: minutes, program: program, compute: compute)
    let subject = try AuditSubject(prepared.job)
    let evidence = try EvidenceCollection(prepared: prepared, compute: compute).collect(until: frame.evidenceEnd) {
      observe(.step($0, of: $1))
    }
    return frame.report(evidence, of: subject, observe: observe)
  }
}
