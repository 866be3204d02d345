/// Where a job stands at the trainer.
package enum JobState: String, Sendable, Codable, CaseIterable {
  /// Weights or rows are still arriving.
  case uploading
  /// Complete, waiting for its turn.
  case queued
  case running
  /// Started, and its owner is away; a checkpoint is kept.
  case waitingForOwner
  /// All steps are done; the weights wait to be retrieved.
  case finished
  /// Ended by an error that its status tells.
  case failed
}
