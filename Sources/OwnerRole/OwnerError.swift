package import Foundations

/// Why an owner's command ends without its result.
package enum OwnerError: Failure, Equatable {
  /// The trainer does not answer, or stopped answering.
  case trainerGone(String)
  /// The trainer has saved the job to let others run; it goes on when its owner comes back to it and its turn comes.
  case turnEnded
  /// The trainer, to a client of a deployment its host, refused the job or a message; `kind` is its own exit code for it.
  case refused(kind: FailureKind, reason: String)
  /// Outputs, loss or weights are not finite.
  case diverged(step: Int)
  /// Ctrl-C; everything up to `step` is saved on both sides.
  case interrupted(step: Int)
  /// The job does not fit its data.
  case unfitJob(String)
  /// The data cannot be trained on.
  case unfitData(String)
  /// The trainer is not done with the job.
  case notFinished(String)
  /// The run directory cannot be used as asked.
  case run(String)
  /// A run directory that others can write to.
  case openToOthers(String)
  /// A run that was made with another owner's key.
  case otherKey(String)
  /// The trainer, or host, answered what its protocol does not allow.
  case protocolViolation(String)
  /// More memory would be needed than is allowed.
  case tooLarge(String)
  /// A verification ended outside its tolerance.
  case checkFailed(String)

  package var kind: FailureKind {
    switch self {
    case .trainerGone, .turnEnded, .interrupted: .unreachable
    case .refused(let kind, _): kind == .usage || kind == .defect ? .refused : kind
    case .diverged: .checkFailed
    case .unfitJob, .run: .usage
    case .unfitData: .inputData
    case .otherKey, .openToOthers: .keyOrPermission
    case .protocolViolation, .notFinished: .refused
    case .checkFailed: .checkFailed
    case .tooLarge: .exhausted
    }
  }

  package var description: String {
    switch self {
    case .trainerGone(let what): what
    case .turnEnded: "the trainer lets another job have its turn; this one is saved there"
    case .refused(_, let reason): "the other side refuses: \(reason)"
    case .diverged(let step):
      "training diverged at step \(step): outputs, loss or gradients are not finite; lower optimizer.lr or set optimizer.clip_norm"
    case .interrupted(let step): "interrupted after step \(step); everything is saved, continue with --resume"
    case .unfitJob(let what), .unfitData(let what), .run(let what), .checkFailed(let what), .notFinished(let what),
      .otherKey(let what), .openToOthers(let what), .tooLarge(let what):
      what
    case .protocolViolation(let what): "the other side broke the protocol: \(what)"
    }
  }
}
