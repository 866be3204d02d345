package import Foundations
import Protocol

/// Why a server refuses or gives up on a job.
package struct ServiceError: Failure, Equatable {
  package let kind: FailureKind
  /// For the server's operator.
  package let description: String
  package let descriptionForOthers: String
  /// For counting.
  package let cause: RefusalCause

  /// - Parameter told: what the other side is told where that is not the description, which may name the server's files.
  package init(_ kind: FailureKind, _ description: String, told: String? = nil, cause: RefusalCause = .other) {
    self.kind = kind
    self.description = description
    descriptionForOthers = told ?? description
    self.cause = cause
  }

  package static func refused(_ description: String, cause: RefusalCause = .other) -> ServiceError {
    ServiceError(.refused, description, cause: cause)
  }

  /// - Parameter program: the server, as in `trainer`.
  package static func notListed(by program: String) -> ServiceError {
    ServiceError(.refused, "this owner is not listed here; ask the \(program)'s operator", cause: .notListed)
  }

  /// Another owner's job and a job that never was look the same from outside.
  package static func noSuchJob(at program: String) -> ServiceError {
    ServiceError(.refused, "this \(program) has no job of this id for this owner", cause: .noSuchJob)
  }
}

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
  /// The event log cannot be written.
  case eventLog = "audit_log"
  /// A message or job that no program of this version sends, or one at the wrong time.
  case `protocol`
  /// More questions of a client than may be unanswered.
  case window
  /// A deployment has answered as many rows as it may.
  case rowsUsedUp = "rows_used_up"
  /// The number of a question or session came again with other rows, or is too old to tell.
  case otherRows = "other_rows"
  /// Files of a deployment are damaged.
  case damaged
  /// Disk or memory of the machine used up.
  case exhausted
  case other

  package init(_ failure: any Failure) {
    switch failure {
    case let error as ServiceError where error.cause != .other: self = error.cause
    case is WireError: self = .protocol
    default: self = failure.kind == .exhausted ? .exhausted : .other
    }
  }
}
