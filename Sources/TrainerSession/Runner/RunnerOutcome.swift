/// How a runner ended.
enum RunnerOutcome: Sendable {
  /// Saved after `step` steps; can be resumed.
  case paused(step: Int, reason: String)
  case finished(steps: Int)
  /// `resumable` when the saved state is good and the cause may pass (a full disk); false when repeating would fail again.
  case failed(TrainerError, resumable: Bool)
  case cancelled
}
