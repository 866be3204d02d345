package import Tensors

/// How a run behaves, apart from its job.
package struct RunOptions: Sendable {
  package var workers: Workers
  /// How long to wait for a trainer that went away before giving up with exit 5; the run can be resumed after that too.
  package var patience: Duration
  /// Upload and leave; only for loss at the trainer.
  package var detach: Bool
  /// A trainer not heard of for this long, asked each second, is taken for gone.
  package var silence: Duration
  package var software: String
  /// The trainer, as errors name it.
  package var peer: String

  package init(
    workers: Workers, patience: Duration, detach: Bool = false, silence: Duration = .seconds(8), software: String,
    peer: String = "the trainer"
  ) {
    self.workers = workers
    self.patience = patience
    self.detach = detach
    self.silence = silence
    self.software = software
    self.peer = peer
  }
}
