import Models
import Files
package import Datasets
import Families
package import JobSpec
package import Masking
package import Protocol
import Training

/// A resolved job joined with its file: everything that is decided before the first row is masked. The same job, file and owner
/// always prepare the same, which is what a resumed run relies on.
package struct PreparedJob: Sendable {
  package let job: ResolvedJob
  package let source: SampleSource
  /// Nil for tasks whose targets are tokens.
  package let labels: JobLabels?
  package private(set) var plan: TrainingPlan
  /// Nil for a job without; with batches and noise of a key that is made for it, until `drawn(from:)`.
  package private(set) var privacy: JobPrivacy?
  package let split: RowSplit
  package let secret: OrderSecret
  /// What the file calls columns, classes and rows.
  package let names: DataNames
  package let shape: JobShape
  /// The job as the trainer gets it.
  package private(set) var description: JobDescription
  private let balance: MicroBatchBalance?

  /// Opens the file, reads labels and split, resolves the keys.
  ///
  /// - Parameters:
  ///   - noiseMultiplier: σ of a private run that has begun (`StepLedger.noiseMultiplier`); nil to find it.
  ///   - agreement: columns and classes that the file must have, whatever its own order; by default what the file has.
  ///   - adjust: the job for the rows that the split leaves to train on; by default the same.
  /// - Throws: `DatasetError`, `OwnerError` when the data does not fit the job, `MaskingError` when the job would not be exact.
  package init(
    job: ResolvedJob, secret: OrderSecret, noiseMultiplier: Double? = nil, agreement: DataAgreement = DataAgreement(),
    adjust: (_ job: ResolvedJob, _ trainingRows: Int) throws -> ResolvedJob = { job, _ in job }
  ) throws {
    let data = try OpenedData(job, agreement)
    guard !data.split.training.isEmpty else { throw OwnerError.unfitData("the split leaves no rows to train on") }
    let job = try adjust(job, data.split.training.count)
    self.job = job
    self.secret = secret
    source = data.source
    labels = data.labels
    split = data.split
    names = data.names
    if job.train.keep == .best, split.validation.isEmpty {
      throw OwnerError.unfitJob("train.keep: best needs validation rows; data.split leaves none")
    }
    guard source.rows <= Int(Int32.max) else {
      throw OwnerError.unfitData("the file has \(source.rows) rows; at most \(Int32.max) are supported")
    }
    balance =
      data.lengths.isEmpty ? nil : MicroBatchBalance(microBatch: job.train.microBatch, tokens: data.lengths)
    let (rows, batch) = (split.training.count, job.train.rowsPerStep)
    privacy = try job.privacy.map {
      try JobPrivacy(
        $0, rows: rows, expectedBatch: batch, steps: job.train.epochs * ((rows + batch - 1) / batch),
        found: noiseMultiplier, master: MasterKey())
    }
    plan = TrainingPlan(
      split: split, batch: batch, epochs: job.train.epochs, orderSecret: secret, balance: balance,
      sampling: privacy?.sampling)
    shape = try JobShape(job: job, data: data.shape, pretrained: data.pretrained)
    try shape.pretrained?.checkGains(readBy: shape.structure.parameters.filter(\.isTrained).map(\.name))
    if privacy != nil, let layer = Model(shape.graph).layerWithoutSampleNorms {
      throw OwnerError.unfitJob("privacy: " + TrainingError.noSampleNorms(layer: layer).description)
    }
    description = JobDescription(
      purpose: .training, graph: shape.graph, optimizer: job.optimizer, schedule: job.schedule,
      lossLocation: job.lossLocation, task: job.lossLocation == .trainer ? job.task : nil,
      epochs: job.train.epochs, stepsPerEpoch: plan.stepsPerEpoch, batch: plan.batch,
      microBatch: job.train.microBatch, keep: job.train.keep, checkpointEverySteps: job.checkpointEverySteps,
      trainingRows: plan.trainingRows, validationRows: plan.validationRows,
      totalTokens: data.lengths.reduce(0) { $0 + Int($1) }, privacy: privacy?.description,
      precision: job.train.precision)
    try description.validate()
  }

  /// The job of a run: a private one's batches and noise are drawn from the run's key, for this job on this data alone.
  ///
  /// - Throws: `OwnerError.run`, `PrivacyError`.
  package func drawn(from master: MasterKey) throws -> PreparedJob {
    guard let undrawn = privacy else { return self }
    let privacy = try undrawn.drawn(from: master, for: NoiseSubject(self, undrawn).digest())
    var job = self
    job.privacy = privacy
    job.plan = TrainingPlan(
      split: split, batch: plan.expectedBatch, epochs: plan.epochs, orderSecret: secret, balance: balance,
      sampling: privacy.sampling)
    job.description.privacy = privacy.description
    return job
  }
}

extension PreparedJob {
  /// The job's spaces with nothing masked: what plaintext training is.
  package func identityPlan() throws -> KeyPlan {
    try KeyResolver.resolve(
      structure: shape.structure,
      masking: MaskingDescription(strength: .none, padding: job.masking.padding, exact: true),
      optimizer: job.optimizer,
      lossConstraint: LossRules.constraint(
        on: shape.structure.output, task: job.task, location: job.lossLocation,
        labelsMissing: shape.data.labelsMissing))
  }
}

/// What the files of several parties have to agree on where they train one model.
package struct DataAgreement: Sendable, Equatable {
  /// Names of the columns in the order that the model takes them; nil for the file's own.
  package var columns: [String]?
  /// Where the file has the names of its columns; nil to look for them beside the features.
  package var columnNames: String?
  /// Names of the classes in order of class id; nil for the file's own.
  package var classes: [String]?

  package init(columns: [String]? = nil, columnNames: String? = nil, classes: [String]? = nil) {
    self.columns = columns
    self.columnNames = columnNames
    self.classes = classes
  }
}

/// A job's opened data file: samples, labels, names and split, and what the model's sizes depend on.
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

  /// - Throws: `DatasetError`, `FileError`, `OwnerError` for data or a checkpoint that does not fit the job.
  init(_ job: ResolvedJob, _ agreement: DataAgreement) throws {
    let file = try HDF5File(path: job.data.file)
    switch (job.data.inputs, job.model) {
    case (.tokens(let columns), .huggingFace(let model)):
      let tokens = try TokenInputs(columns, file: file, model: PretrainedModel(model, task: job.task), job: job)
      let scan = try tokens.scan()
      try Self.checkTargets(job, scan)
      try Self.checkLastTokens(job, tokens.model, scan)
      source = .tokens(tokens)
      labels = job.task.isPerToken ? nil : try Self.labels(job, agreement, file: file, rows: tokens.source.rows)
      pretrained = tokens.model
      lengths = scan.lengths
      shape = try Self.shape(job, model: tokens.model, scan: scan, labels: labels)
      split = try Self.split(job, file: file, rows: tokens.source.rows)
      let found = try file.readNames(features: columns.ids, rows: tokens.source.rows, columns: 0)
      names = DataNames(columns: nil, classes: labels?.classNames, rows: found.rows)
    case (.features(let path), .mlp):
      var source = try file.openFeatures(path: path)
      if let columns = agreement.columns {
        source = try SampleSource.aligned(source, columns, file, path, names: agreement.columnNames)
      }
      let labels = try Self.labels(job, agreement, file: file, rows: source.rows)
      self.source = .features(source)
      self.labels = labels
      pretrained = nil
      lengths = []
      shape = DataShape(
        features: source.columns, outputs: labels.outputs, classNames: labels.classNames,
        labelsMissing: labels.hasMissing)
      split = try Self.split(job, file: file, rows: source.rows)
      let found = try file.readNames(features: path, rows: source.rows, columns: source.columns)
      names = DataNames(
        columns: agreement.columns ?? found.columns, classes: labels.classNames, rows: found.rows)
    default:
      throw OwnerError.unfitJob("model.mlp reads data.features, and model.huggingface reads data.tokens")
    }
  }

  private static func checkTargets(_ job: ResolvedJob, _ scan: TokenScan) throws {
    guard job.task.isPerToken, scan.countedTokens == 0 else { return }
    throw OwnerError.unfitData(
      job.task == .causalLanguageModel && job.data.labels == nil
        ? "\(job.data.file): every row has one token, and none after it to predict; task: causal-lm needs longer texts"
        : "\(job.data.file): '\(job.data.labels ?? "")': every label is negative, so that no token counts")
  }

  /// What the result's class would take for padding must not be what was trained on.
  private static func checkLastTokens(_ job: ResolvedJob, _ model: PretrainedModel, _ scan: TokenScan) throws {
    guard model.classFindsLastToken, let first = scan.rowsEndingInPadding.first, let padding = model.sizes.paddingToken
    else { return }
    let others = scan.rowsEndingInPadding.count - 1
    throw OwnerError.unfitData(
      "\(job.data.file): row \(first)\(others > 0 ? " and \(others) others" : "") end in token \(padding), which the checkpoint pads "
        + "with: \(model.libraryClass ?? "its class") would take it for padding and pool the token before it. Leave it out of the mask, "
        + "name another `pad_token_id` in the checkpoint's config.json, or set model.head.pool: mean")
  }

  private static func shape(
    _ job: ResolvedJob, model: PretrainedModel, scan: TokenScan, labels: JobLabels?
  ) throws -> DataShape {
    let outputs: Int
    switch job.task {
    case .causalLanguageModel: outputs = model.sizes.vocabulary
    case .tokenClassification: outputs = try model.outputs(found: scan.labelClasses)
    default: outputs = try model.outputs(found: labels?.outputs ?? 1)
    }
    let padding =
      model.classFindsLastToken && model.sizes.paddingToken == nil
      ? scan.padding.flatMap { scan.lastTokens.contains($0) ? nil : $0 } : nil
    return DataShape(
      features: 0, maximumTokens: scan.longest, outputs: outputs, classNames: labels?.classNames,
      labelsMissing: labels?.hasMissing ?? false, checkpoint: try model.directory.fingerprint(),
      paddingToken: padding.map { Int($0) }, drawsPooler: model.lacksPooler ? true : nil)
  }

  private static func labels(
    _ job: ResolvedJob, _ agreement: DataAgreement, file: HDF5File, rows: Int
  ) throws -> JobLabels {
    if let columns = job.data.survival {
      return JobLabels(try file.readSurvival(time: columns.time, event: columns.event, rows: rows))
    }
    guard let path = job.data.labels else {
      throw OwnerError.unfitJob("task: \(job.task.rawValue) needs data.labels")
    }
    let kind: LabelKind =
      switch job.task {
      case .classification, .tokenClassification, .causalLanguageModel: .classes
      case .multilabel: .binary
      case .regression, .survival: .real
      }
    return JobLabels(try file.readLabels(path: path, as: kind, rows: rows, classes: agreement.classes))
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

/// What a job's samples are made of.
package enum SampleSource: Sendable {
  case features(any FeatureSource)
  case tokens(TokenInputs)

  package var rows: Int {
    switch self {
    case .features(let source): source.rows
    case .tokens(let tokens): tokens.source.rows
    }
  }
}

extension SampleSource {
  /// Brings the columns of a file into the order that a model takes them in, by their names.
  ///
  /// - Throws: `OwnerError.unfitData` for names that are missing or repeated.
  static func aligned(
    _ source: any FeatureSource, _ expected: [String], _ file: HDF5File, _ path: String, names: String? = nil
  ) throws -> any FeatureSource {
    let place = "\(file.path): '\(path)'"
    let found = try file.readNames(
      features: path, rows: source.rows, columns: source.columns, columnsAt: names
    ).columns
    guard let found else {
      if let names {
        throw OwnerError.unfitData(
          "\(file.path): '\(names)' (data.columns) holds no list of \(source.columns) names, one for each column of '\(path)'"
        )
      }
      throw OwnerError.unfitData(
        "\(place) has no names of columns, and the model takes named ones; without them nothing says which is which: add them, "
          + "as the index of var (AnnData) or a data set `columns` beside the features")
    }
    guard let places = try DataNames.places(of: expected, in: found, source: place) else { return source }
    return AlignedFeatures(source: source, places: places)
  }
}
