import Checkpoints
import Architecture
import Datasets
import JobSpec

/// A job's file once it is open: samples, labels and split, and what the model's sizes depend on.
struct OpenedData {
  let source: SampleSource
  /// Nil for tasks whose targets are tokens.
  let labels: JobLabels?
  let split: RowSplit
  let shape: DataShape
  let pretrained: PretrainedModel?
  /// Of each sample; empty where samples are rows of features.
  let lengths: [Int32]
  let names: DataNames

  /// - Throws: `DatasetError`, `CheckpointError`, `OwnerError` for data or a checkpoint that does not fit the job.
  init(_ job: ResolvedJob) throws {
    let file = try HDF5File(path: job.data.file)
    switch (job.data.inputs, job.model) {
    case (.tokens(let columns), .huggingFace(let model)):
      let tokens = try TokenInputs(columns, file: file, model: PretrainedModel(model, task: job.task), job: job)
      let scan = try tokens.scan()
      try Self.checkTargets(job, scan)
      source = .tokens(tokens)
      labels = job.task.isPerToken ? nil : try Self.labels(job, file: file, rows: tokens.source.rows)
      pretrained = tokens.model
      lengths = scan.lengths
      shape = try Self.shape(job, model: tokens.model, scan: scan, labels: labels)
      split = try Self.split(job, file: file, rows: tokens.source.rows)
      let found = try file.readNames(features: columns.ids, rows: tokens.source.rows, columns: 0)
      names = DataNames(columns: nil, classes: labels?.classNames, rows: found.rows)
    case (.features(let path), .mlp):
      let source = try file.openFeatures(path: path)
      let labels = try Self.labels(job, file: file, rows: source.rows)
      self.source = .features(source)
      self.labels = labels
      pretrained = nil
      lengths = []
      shape = DataShape(
        features: source.columns, outputs: labels.outputs, classNames: labels.classNames,
        labelsMissing: labels.isMissingSome)
      split = try Self.split(job, file: file, rows: source.rows)
      let found = try file.readNames(features: path, rows: source.rows, columns: source.columns)
      names = DataNames(columns: found.columns, classes: labels.classNames, rows: found.rows)
    default:
      throw OwnerError.unfitJob("model.mlp reads data.features, and model.huggingface reads data.tokens")
    }
  }

  private static func checkTargets(_ job: ResolvedJob, _ scan: TokenScan) throws {
    guard job.task.isPerToken, scan.countedTokens == 0 else { return }
    throw OwnerError.unfitData(
      job.task == .causalLanguageModel
        ? "\(job.data.file): every row has one token, and none after it to predict; task: causal-lm needs longer texts"
        : "\(job.data.file): '\(job.data.labels ?? "")': every label is negative, so that no token counts")
  }

  private static func shape(
    _ job: ResolvedJob, model: PretrainedModel, scan: TokenScan, labels: JobLabels?
  ) throws -> DataShape {
    let outputs: Int
    switch job.task {
    case .causalLanguageModel: outputs = model.configuration.vocabulary
    case .tokenClassification: outputs = try model.outputs(found: scan.labelClasses)
    default: outputs = try model.outputs(found: labels?.outputs ?? 1)
    }
    return DataShape(
      features: 0, maximumTokens: scan.longest, outputs: outputs, classNames: labels?.classNames,
      labelsMissing: labels?.isMissingSome ?? false, checkpoint: try model.directory.fingerprint())
  }

  private static func labels(_ job: ResolvedJob, file: HDF5File, rows: Int) throws -> JobLabels {
    guard let path = job.data.labels else {
      throw OwnerError.unfitJob("task: \(job.task.rawValue) needs data.labels")
    }
    let kind: LabelKind =
      switch job.task {
      case .classification, .tokenClassification, .causalLanguageModel: .classes
      case .multilabel: .binary
      case .regression: .real
      }
    return JobLabels(try file.readLabels(path: path, as: kind, rows: rows))
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
