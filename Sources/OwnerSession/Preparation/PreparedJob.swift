import Architecture
import Datasets
package import JobSpec
package import Wire

/// A resolved job joined with its file: everything that is decided before the first row is masked. The same job, file and owner
/// always prepare the same, which is what a resumed run relies on.
package struct PreparedJob: Sendable {
  package let job: ResolvedJob
  package let source: SampleSource
  /// Nil for tasks whose targets are tokens.
  package let labels: JobLabels?
  package let plan: TrainingPlan
  package let split: RowSplit
  package let secret: OrderSecret
  /// What the file calls columns, classes and rows.
  package let names: DataNames
  package let shape: JobShape
  /// What the trainer is told.
  package let description: JobDescription

  /// Opens the file, reads labels and split, resolves the keys.
  ///
  /// - Throws: `DatasetError`, `OwnerError` when the data does not fit the job, `MaskingError` when the job would not be exact.
  package init(job: ResolvedJob, secret: OrderSecret) throws {
    self.job = job
    self.secret = secret
    let data = try OpenedData(job)
    source = data.source
    labels = data.labels
    split = data.split
    names = data.names
    guard !split.training.isEmpty else { throw OwnerError.unfitData("the split leaves no rows to train on") }
    if job.train.keep == .best, split.validation.isEmpty {
      throw OwnerError.unfitJob("train.keep: best needs validation rows; data.split leaves none")
    }
    guard source.rows <= Int(Int32.max) else {
      throw OwnerError.unfitData("the file has \(source.rows) rows; at most \(Int32.max) are supported")
    }
    plan = TrainingPlan(
      split: split, batch: job.train.rowsPerStep, epochs: job.train.epochs, orderSecret: secret,
      balance: data.lengths.isEmpty
        ? nil : MicroBatchBalance(microBatch: job.train.microBatch, tokens: data.lengths))
    shape = try JobShape(job: job, data: data.shape, pretrained: data.pretrained)
    try shape.pretrained?.checkGains(readBy: shape.structure.parameters.filter(\.isTrained).map(\.name))
    description = JobDescription(
      purpose: .training, model: shape.model, optimizer: job.optimizer, schedule: job.schedule,
      lossLocation: job.lossLocation, task: job.lossLocation == .trainer ? job.task : nil,
      epochs: job.train.epochs, stepsPerEpoch: plan.stepsPerEpoch, batch: job.train.rowsPerStep,
      microBatch: job.train.microBatch, keep: job.train.keep, checkpointEverySteps: job.checkpointEverySteps,
      trainingRows: plan.trainingRows, validationRows: plan.validationRows,
      totalTokens: data.lengths.reduce(0) { $0 + Int($1) })
    try description.validate()
  }
}
