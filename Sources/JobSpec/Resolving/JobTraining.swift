package import Architecture

/// How long and in what pieces a job trains.
package struct JobTraining: Sendable, Equatable, Codable {
  package let epochs: Int
  /// Rows an optimizer step.
  package let batch: Int
  /// Rows a message, at most `batch`.
  package let microBatch: Int
  package let seed: Int
  package let keep: KeepPolicy

  package init(epochs: Int, batch: Int, microBatch: Int, seed: Int, keep: KeepPolicy) {
    self.epochs = epochs
    self.batch = batch
    self.microBatch = microBatch
    self.seed = seed
    self.keep = keep
  }
}
