package import Architecture

/// How long and in what pieces a job trains.
package struct JobTraining: Sendable, Equatable, Codable {
  package let epochs: Int
  /// Rows a batch.
  package let batch: Int
  /// Batches an optimizer step.
  package let accumulate: Int
  /// Rows a message, at most `batch`.
  package let microBatch: Int
  package let seed: Int
  package let keep: KeepPolicy
  /// Whether blocks of a transformer are computed again for the backward pass.
  package let recompute: Bool

  package init(
    epochs: Int, batch: Int, microBatch: Int, seed: Int, keep: KeepPolicy, accumulate: Int = 1, recompute: Bool = false
  ) {
    self.epochs = epochs
    self.batch = batch
    self.microBatch = microBatch
    self.seed = seed
    self.keep = keep
    self.accumulate = accumulate
    self.recompute = recompute
  }

  /// Rows an optimizer step.
  package var rowsPerStep: Int { batch * accumulate }
}
