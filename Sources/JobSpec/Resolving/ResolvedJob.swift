package import Models
import Foundation

/// A whole job: every default filled in, every relation between keys checked, paths absolute. Holds no secret.
package struct ResolvedJob: Sendable, Equatable, Codable {
  package let name: String
  /// tcp://HOST:PORT.
  package let trainer: String
  package let data: JobData
  package let task: LearningTask
  package let model: JobModel
  package let masking: MaskingDescription
  package let lossLocation: LossLocation
  package let optimizer: OptimizerDescription
  package let schedule: ScheduleDescription
  package let train: JobTraining
  /// Steps between checkpoints, at least 1.
  package let checkpointEverySteps: Int
  /// The differential privacy that the run must keep; nil where it keeps none.
  package let privacy: PrivacyTarget?
  /// What an audit must have found before the job is sent; nil where nothing is asked of one.
  package let audit: AuditGate?

  package init(
    name: String, trainer: String, data: JobData, task: LearningTask, model: JobModel, masking: MaskingDescription,
    lossLocation: LossLocation, optimizer: OptimizerDescription, schedule: ScheduleDescription, train: JobTraining,
    checkpointEverySteps: Int, privacy: PrivacyTarget? = nil, audit: AuditGate? = nil
  ) {
    self.name = name
    self.trainer = trainer
    self.data = data
    self.task = task
    self.model = model
    self.masking = masking
    self.lossLocation = lossLocation
    self.optimizer = optimizer
    self.schedule = schedule
    self.train = train
    self.checkpointEverySteps = checkpointEverySteps
    self.privacy = privacy
    self.audit = audit
  }

  /// Reads, parses and resolves a job file.
  ///
  /// - Parameters:
  ///   - path: the job's file; paths in it are relative to its directory.
  ///   - overrides: `key.path=value` arguments; paths in them are relative to the working directory.
  ///   - checkFiles: whether `data.file` must exist; false to look at a job away from its data.
  /// - Throws: `JobSpecError`.
  package static func load(
    path: String, overrides: [String] = [], checkFiles: Bool = true
  ) throws(JobSpecError) -> ResolvedJob {
    let bytes = try JobFile.read(path)
    let specification = try JobSpecification.parse(bytes: bytes, source: path, overrides: overrides)
    let working = FileManager.default.currentDirectoryPath
    let jobDirectory = (JobPath.absolute(path, in: working) as NSString).deletingLastPathComponent
    return try specification.resolved(
      jobDirectory: jobDirectory, workingDirectory: working, checkFiles: checkFiles)
  }
}

/// Where the rows come from.
package struct JobData: Sendable, Equatable, Codable {
  /// Absolute path of the HDF5 file.
  package let file: String
  package let inputs: JobInputs
  /// Nil where the tokens are the labels (causal language modelling) and for survival.
  package let labels: String?
  /// For survival alone.
  package let survival: SurvivalColumns?
  package let split: DataSplit
  /// False for tokens.
  package let standardize: Bool

  package init(
    file: String, inputs: JobInputs, labels: String?, survival: SurvivalColumns? = nil, split: DataSplit,
    standardize: Bool
  ) {
    self.file = file
    self.inputs = inputs
    self.labels = labels
    self.survival = survival
    self.split = split
    self.standardize = standardize
  }
}

/// Paths of the two columns of a survival task inside the file.
package struct SurvivalColumns: Sendable, Equatable, Codable {
  package let time: String
  package let event: String

  package init(time: String, event: String) {
    self.time = time
    self.event = event
  }
}

/// What a sample is, and where it stands in the file.
package enum JobInputs: Sendable, Equatable, Codable {
  /// A row of a matrix at this path; `obs[column]` is a field of a compound dataset.
  case features(String)
  /// A sequence of tokens.
  case tokens(TokenColumns)
}

/// Paths of the token matrices inside the file, all N×L.
package struct TokenColumns: Sendable, Equatable, Codable {
  package let ids: String
  /// 1 for a token, 0 for padding; nil where every token counts.
  package let mask: String?
  /// Segments; nil where all are 0.
  package let types: String?

  package init(ids: String, mask: String? = nil, types: String? = nil) {
    self.ids = ids
    self.mask = mask
    self.types = types
  }
}

/// Which rows are held out for validation.
package enum DataSplit: Sendable, Equatable, Codable {
  /// A random share, 0 ≤ validation < 1.
  case fraction(validation: Double, seed: Int)
  /// Rows whose group in the dataset `by` has the remainder `equals`; 0 ≤ equals < modulo.
  case modulo(by: String, modulo: Int, equals: Int)
  /// Row numbers listed in a dataset of the file.
  case rows(path: String)
}

/// The model a job asks for; its input and output widths come from the data and from the pretrained model.
package enum JobModel: Sendable, Equatable, Codable {
  /// Widths of the hidden layers, empty for a linear model.
  case mlp(hidden: [Int], activation: Activation)
  case huggingFace(HuggingFaceModel)
}

/// A pretrained model and what a job makes of it.
package struct HuggingFaceModel: Sendable, Equatable, Codable {
  /// Absolute path of the directory that holds config.json.
  package let directory: String
  /// `cls`, `mean` or `last`; nil leaves it to the model's family, and for tasks with an output for every token.
  package let pool: TokenPooling?
  /// Classes or label columns; nil leaves it to the labels.
  package let classes: Int?
  package let train: TrainedPart

  package init(directory: String, pool: TokenPooling?, classes: Int?, train: TrainedPart) {
    self.directory = directory
    self.pool = pool
    self.classes = classes
    self.train = train
  }
}

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
  package let precision: TrainingPrecision

  package init(
    epochs: Int, batch: Int, microBatch: Int, seed: Int, keep: KeepPolicy, accumulate: Int = 1, recompute: Bool = false,
    precision: TrainingPrecision = .float32
  ) {
    self.epochs = epochs
    self.batch = batch
    self.microBatch = microBatch
    self.seed = seed
    self.keep = keep
    self.accumulate = accumulate
    self.recompute = recompute
    self.precision = precision
  }

  /// Rows an optimizer step.
  package var rowsPerStep: Int { batch * accumulate }
}
