package import Architecture

/// Everything the trainer is told about a job: sizes, kinds and counts. No name, no path, no label, no key.
package struct JobDescription: Sendable, Equatable, Codable {
  package enum Purpose: String, Sendable, Codable {
    case training
    /// Masked inference with uploaded weights; no optimizer, no steps.
    case inference
  }

  package var purpose: Purpose
  package var model: ModelDescription
  package var optimizer: OptimizerDescription
  package var schedule: ScheduleDescription
  package var lossLocation: LossLocation
  /// What the trainer computes the loss of; nil when the owner does, and then the trainer is not told.
  package var task: LearningTask?
  package var epochs: Int
  package var stepsPerEpoch: Int
  /// Rows of an optimizer step, accumulated gradients included.
  package var batch: Int
  package var microBatch: Int
  package var keep: KeepPolicy
  package var checkpointEverySteps: Int
  /// Distinct rows the job sends: those trained on first, then those validated on.
  package var trainingRows: Int
  package var validationRows: Int
  /// Tokens of all rows together where rows are sequences, 0 where they are not: what an upload will take.
  package var totalTokens: Int

  package init(
    purpose: Purpose, model: ModelDescription, optimizer: OptimizerDescription, schedule: ScheduleDescription,
    lossLocation: LossLocation, task: LearningTask?, epochs: Int, stepsPerEpoch: Int, batch: Int, microBatch: Int,
    keep: KeepPolicy, checkpointEverySteps: Int, trainingRows: Int, validationRows: Int, totalTokens: Int = 0
  ) {
    self.purpose = purpose
    self.model = model
    self.optimizer = optimizer
    self.schedule = schedule
    self.lossLocation = lossLocation
    self.task = task
    self.epochs = epochs
    self.stepsPerEpoch = stepsPerEpoch
    self.batch = batch
    self.microBatch = microBatch
    self.keep = keep
    self.checkpointEverySteps = checkpointEverySteps
    self.trainingRows = trainingRows
    self.validationRows = validationRows
    self.totalTokens = totalTokens
  }

  /// Steps of the whole run. Call after `validate()`, which bounds the product.
  package var totalSteps: Int { epochs * stepsPerEpoch }
  /// Rows of both kinds.
  package var totalRows: Int { trainingRows + validationRows }
  /// Rows of a step; the last batch of an epoch may be short.
  package func rows(ofStep step: Int) -> Int {
    min(batch, trainingRows - step % stepsPerEpoch * batch)
  }
  /// The most rows of one `evaluate` message: a batch, or a micro-batch where rows are sequences.
  package var evaluationRows: Int { model.maximumTokens == nil ? max(batch, microBatch) : microBatch }
}
