/// What a checkpoint file holds.
package enum CheckpointContent: String, Sendable, CaseIterable {
  /// Trained parameters, and the optimizer's memory under `optimizer.`: with the frozen ones all that a run goes on from.
  case state
  /// Trained parameters alone: those after the best epoch so far.
  case best
  /// The parameters that training leaves as they are: stored once for all checkpoints of a job.
  case frozen
}
