import Failures
import Wire

/// Why the service turned something away, for counting.
package enum RefusalCause: String, CaseIterable, Sendable {
  /// The job needs more memory than it may have.
  case memory
  /// Its rows and checkpoints need more disk than they may have.
  case disk
  /// Its owner has as many jobs waiting as it may have.
  case queue
  /// Its owner is not, or no longer, listed.
  case notListed = "not_listed"
  /// No such job of this owner.
  case noSuchJob = "no_such_job"
  /// The audit log cannot be written.
  case auditLog = "audit_log"
  /// A message or job that no program of this version sends, or one at the wrong time.
  case `protocol`
  /// Disk or memory of the machine used up.
  case exhausted
  case other

  init(_ failure: any Failure) {
    switch failure {
    case let error as TrainerError where error.cause != .other: self = error.cause
    case is WireError: self = .protocol
    default: self = failure.kind == .exhausted ? .exhausted : .other
    }
  }
}
