package import Failures

/// Why a trainer refuses or gives up on a job; sent to its owner as it stands.
package struct TrainerError: Failure, Equatable {
  package let kind: FailureKind
  package let description: String
  /// For counting.
  package let cause: RefusalCause

  package init(_ kind: FailureKind, _ description: String, cause: RefusalCause = .other) {
    self.kind = kind
    self.description = description
    self.cause = cause
  }

  static func refused(_ description: String, cause: RefusalCause = .other) -> TrainerError {
    TrainerError(.refused, description, cause: cause)
  }

  static let notListed = TrainerError(
    .refused, "this owner is not listed here; ask the trainer's operator", cause: .notListed)

  /// Another owner's job and a job that never was look the same from outside.
  static let noSuchJob = TrainerError(.refused, "this trainer has no such job of yours", cause: .noSuchJob)
}
