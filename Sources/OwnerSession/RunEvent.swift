package import Wire

/// What happens during a run, for progress and logs.
package enum RunEvent: Sendable {
  /// A part of the work begins: "reading and masking", "uploading weights" …
  case began(String)
  /// Work of known length moves: rows masked, chunks uploaded.
  case advanced(done: Int, total: Int)
  /// What a person should know, though the run goes on.
  case warning(String)
  case queued(position: Int)
  case trainingStarts(step: Int, totalSteps: Int)
  case progress(ProgressRecord, rows: Int)
  /// There is no trainer yet; the run waits for one.
  case waitingForTrainer(String)
  /// The trainer is silent; the run waits for it.
  case trainerLost(String)
  case trainerBack
  case saved(step: Int)
}
