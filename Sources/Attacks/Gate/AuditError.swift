package import Failures

/// Why a job with a gate may not be sent.
package enum AuditError: Failure, Equatable {
  /// No audit was made, or not there.
  case missing(String)
  /// What is there cannot be read; `reason` is the operating system's.
  case closed(String, reason: String)
  /// What is there is no report of this version.
  case unreadable(String)
  /// The report is of another job, other data or another checkpoint, or was made by another version.
  case otherSubject(path: String, difference: String)
  /// Limits of the gate that the report does not meet, each as a sentence.
  case gate([String])

  package var kind: FailureKind { .checkFailed }

  package var description: String {
    switch self {
    case .missing(let path):
      "the job's audit.gate needs an audit, and there is no \(path); make one with `encryptor audit`, or name its directory with --audit"
    case .closed(let path, let reason):
      "the job's audit.gate needs its audit, and \(path) cannot be read: \(reason)"
    case .unreadable(let path):
      "\(path) is no report that this version can read; make the audit again with `encryptor audit`"
    case .otherSubject(let path, let difference):
      "\(path) is an audit of something else: \(difference). Make one of this job with `encryptor audit`"
    case .gate(let failures):
      "the audit does not pass the job's audit.gate: " + failures.joined(separator: "; ")
    }
  }
}
