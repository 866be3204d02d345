import Architecture
package import Datasets
package import JobSpec
package import Wire

/// A resolved job joined with its file: everything that is decided before the first row is masked. The same job, file and owner
/// always prepare the same, which is what a resumed run relies on.
package struct PreparedJob: Sendable {
  package let job: ResolvedJob
  package let source: any FeatureSource
  package let labels: JobLabels
  package let plan: TrainingPlan
  package let split: RowSplit
  package let secret: OrderSecret
  package let shape: JobShape
  /// What the trainer is told.
  package let description: JobDescription

  /// Opens the file, reads labels and split, resolves the keys.
  ///
  /// - Throws: `DatasetError`, `OwnerError` when the data does not fit the job, `MaskingError` when the job would not be exact.
  package init(job: ResolvedJob, secret: OrderSecret) throws {
    self.job = job
    self.secret = secret
    let file = try HDF5File(path: job.data.file)
    guard case .features(let features) = job.data.inputs, let labelPath = job.data.labels else {
      throw OwnerError.unfitJob("data.tokens needs a transformer")
    }
    source = try file.openFeatures(path: features)
    let kind: LabelKind =
      switch job.task {
      case .classification: .classes
      case .multilabel: .binary
      case .regression: .real
      case .tokenClassification, .causalLanguageModel:
        throw OwnerError.unfitJob("task: \(job.task.rawValue) needs a transformer")
      }
    labels = JobLabels(try file.readLabels(path: labelPath, as: kind, rows: source.rows))
    split = try Self.split(job, file: file, rows: source.rows)
    guard !split.training.isEmpty else { throw OwnerError.unfitData("the split leaves no rows to train on") }
    if job.train.keep == .best, split.validation.isEmpty {
      throw OwnerError.unfitJob("train.keep: best needs validation rows; data.split leaves none")
    }
    guard source.rows <= Int(Int32.max) else {
      throw OwnerError.unfitData("the file has \(source.rows) rows; at most \(Int32.max) are supported")
    }
    plan = TrainingPlan(split: split, batch: job.train.batch, epochs: job.train.epochs, orderSecret: secret)
    shape = try JobShape(
      job: job, features: source.columns, outputs: labels.outputs, classNames: labels.classNames,
      labelsMissing: labels.isMissingSome)
    description = JobDescription(
      purpose: .training, model: shape.model, optimizer: job.optimizer, schedule: job.schedule,
      lossLocation: job.lossLocation, task: job.lossLocation == .trainer ? job.task : nil,
      epochs: job.train.epochs, stepsPerEpoch: plan.stepsPerEpoch, batch: job.train.batch,
      microBatch: job.train.microBatch, keep: job.train.keep, checkpointEverySteps: job.checkpointEverySteps,
      trainingRows: plan.trainingRows, validationRows: plan.validationRows)
    try description.validate()
  }

  private static func split(_ job: ResolvedJob, file: HDF5File, rows: Int) throws -> RowSplit {
    switch job.data.split {
    case .fraction(let validation, let seed):
      return .fraction(validation, seed: seed, rows: rows)
    case .modulo(let by, let modulo, let equals):
      return .groups(try file.readIntegers(path: by, rows: rows), modulus: modulo, remainder: equals)
    case .rows(let path):
      return .listed(try file.readRowNumbers(path: path, below: rows), rows: rows)
    }
  }
}
