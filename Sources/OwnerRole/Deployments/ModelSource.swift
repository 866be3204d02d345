import Datasets
import Families
import Files
package import Foundation
import JobSpec
package import Models
import Numerics
package import Protocol

/// Where a deployment's plaintext model is, so that it can be masked again under another key. It stays where it is, at its owner.
package struct ModelSource: Codable, Sendable, Equatable {
  package enum Kind: String, Codable, Sendable {
    /// A finished run of a job.
    case run
    /// A site's finished run of a federation.
    case site
    /// A directory of the transformers library, or of peft.
    case checkpoint
  }

  package let kind: Kind
  /// Absolute.
  package let path: String
  /// Of a checkpoint, as a job's `task` and `model.head.pool` say it.
  package let task: LearningTask?
  package let pool: TokenPooling?
  /// Of the masking; nil for the job's, and for `rotation` where no job masked anything.
  package let strength: MaskingStrength?
  package let maximumTokens: Int?
  /// That the host computes in; nil for the job's, and for float32 where no job says.
  package let precision: TrainingPrecision?
  /// What the clients' files call token ids, mask and types, of a checkpoint.
  private static let tokenColumns = ("input_ids", "attention_mask", "token_type_ids")

  private init(
    _ kind: Kind, _ path: String, task: LearningTask?, pool: TokenPooling?, strength: MaskingStrength?,
    maximumTokens: Int?, precision: TrainingPrecision?
  ) {
    self.kind = kind
    self.path = path
    self.task = task
    self.pool = pool
    self.strength = strength
    self.maximumTokens = maximumTokens
    self.precision = precision
  }

  /// Looks at what `root` is.
  ///
  /// - Parameters:
  ///   - task: of a checkpoint; a run's model has its own.
  ///   - pool: of a checkpoint; nil for what its class does.
  /// - Throws: `OwnerError.run` for a directory that holds no model; `.unfitJob` for a task or head that is missing, or is given for a run.
  package static func find(
    _ root: URL, task: LearningTask?, pool: TokenPooling?, strength: MaskingStrength?, maximumTokens: Int?,
    precision: TrainingPrecision? = nil
  ) throws -> ModelSource {
    let directory = RunDirectory(root: root)
    let path = root.standardizedFileURL.path
    let kind: Kind? =
      directory.isOfSite
      ? .site
      : directory.exists
        ? .run
        : AdapterDirectory.exists(path) || RegularFile.exists(path + "/config.json") ? .checkpoint : nil
    guard let kind else {
      throw OwnerError.run(
        "\(path) holds no model: give a run directory, a site's, or a directory with config.json or adapter_config.json"
      )
    }
    if kind == .checkpoint, task == nil {
      throw OwnerError.unfitJob("\(path) is a checkpoint; say with --task what its outputs are")
    }
    if kind != .checkpoint, task != nil || pool != nil {
      throw OwnerError.unfitJob("\(path) is a run, which has its own task and head; leave --task and --head out")
    }
    return ModelSource(
      kind, path, task: task, pool: pool, strength: strength, maximumTokens: maximumTokens, precision: precision)
  }

  /// Reads the model.
  ///
  /// - Parameter warn: called with warnings for the owner.
  /// - Throws: `OwnerError.run` for a run that is not finished; `.unfitData` for weights that do not fit; `FileError`, `MaskingError`.
  package func open(warn: (String) -> Void = { _ in }) throws -> DeployableModel {
    switch kind {
    case .run: try openRun(warn)
    case .site: try openSite()
    case .checkpoint: try openCheckpoint()
    }
  }

  /// What a host has had of the model when it trained it.
  ///
  /// - Returns: nil where another has, or nothing here tells.
  package func training(at host: CurvePublicKey) throws -> HostTraining? {
    let directory = RunDirectory(root: URL(filePath: path))
    guard kind == .run, try RunState.load(directory).trainerKey == host.z85 else { return nil }
    // A run that was retrieved has no summary.
    return HostTraining(rows: (try? RunFile.read(RunReport.self, from: directory.summary))?.rowsSeen)
  }

  private func openRun(_ warn: (String) -> Void) throws -> DeployableModel {
    let directory = RunDirectory(root: URL(filePath: path))
    let state = try RunState.load(directory)
    guard state.phase == .finished else {
      let step =
        switch state.phase {
        case .masked: "its weights are here masked: `encryptor unmask \(path)` first"
        case .detached: "`encryptor retrieve \(path)` first"
        case .prepared, .training, .finished: "resume it first"
        case .cancelled: "it has no result"
        }
      throw OwnerError.run("the run is \(state.phase.rawValue), not finished; \(step)")
    }
    let job = try ResolvedJob.load(path: directory.resolvedJob.path, checkFiles: false)
    let model = ModelDirectory(directory.model)
    let names = try model.readNames()
    if names == nil, job.data.inputs.areFeatures {
      warn("the model is of a version that kept no names of columns; the data's columns are taken in their order")
    }
    return try DeployableModel(
      shape: try JobShape(job: job, data: state.data), standardization: try model.readStandardization(), names: names,
      maximumTokens: maximumTokens, strength: strength, precision: precision, weights: { try model.weights($0) })
  }

  /// A site's run keeps no sizes of its data; its model has them.
  private func openSite() throws -> DeployableModel {
    let directory = RunDirectory(root: URL(filePath: path))
    guard FileManager.default.fileExists(atPath: directory.summary.path) else {
      throw OwnerError.run("the site's run is not finished; go on with it by `encryptor join … --resume` first")
    }
    let job = try ResolvedJob.load(path: directory.resolvedJob.path, checkFiles: false)
    let model = ModelDirectory(directory.model)
    let names = try model.readNames()
    let data = try model.dataShape(job, names: names)
    return try DeployableModel(
      shape: try JobShape(job: job, data: data), standardization: try model.readStandardization(), names: names,
      maximumTokens: maximumTokens,
      // What the aggregator sees is masked by the sites' common key, and the job of a site that trains itself by none.
      strength: strength ?? (job.masking.strength == .none ? .rotation : nil), precision: precision,
      weights: { try model.weights($0) })
  }

  private func openCheckpoint() throws -> DeployableModel {
    guard let task else { throw OwnerError.unfitJob("\(path) is a checkpoint; say with --task what its outputs are") }
    let adapters = AdapterDirectory.exists(path) ? try AdapterDirectory(path) : nil
    let base = try adapters.map { try baseDirectory($0.baseModel) } ?? path
    let model = try PretrainedModel(
      HuggingFaceModel(
        directory: base, pool: pool, classes: nil, train: adapters.map { .lora($0.adaptation) } ?? .all), task: task)
    guard !model.lacksPooler else {
      throw OwnerError.unfitJob(
        "\(path) has no pooler, which \(model.libraryClass ?? "its class") reads the first token through; give --head mean if it was trained so"
      )
    }
    let weights = CheckpointWeights(model: model, adapters: adapters)
    let data = DataShape(
      features: 0, outputs: try weights.outputs(), classNames: model.directory.configuration.classNames,
      labelsMissing: false)
    let (ids, mask, types) = Self.tokenColumns
    let job = ResolvedJob(
      name: URL(filePath: path).lastPathComponent, trainer: "",
      data: JobData(
        file: "",
        inputs: .tokens(TokenColumns(ids: ids, mask: mask, types: model.sizes.tokenTypes > 1 ? types : nil)),
        labels: nil, split: .fraction(validation: 0, seed: 0), standardize: false),
      task: task, model: .huggingFace(model.settings),
      masking: MaskingDescription(strength: strength ?? .rotation, padding: 0, exact: true), lossLocation: .owner,
      optimizer: .none, schedule: ScheduleDescription(warmup: 0, decay: .none),
      train: JobTraining(
        epochs: 1, batch: 1, microBatch: 1, seed: 0, keep: .last, precision: precision ?? .float32),
      checkpointEverySteps: 1)
    return try DeployableModel(
      shape: try JobShape(job: job, data: data, pretrained: model), standardization: nil, names: nil,
      maximumTokens: maximumTokens, weights: { _ in weights })
  }

  private func baseDirectory(_ name: String) throws -> String {
    let places = name.hasPrefix("/") ? [name] : [path + "/" + name, name]
    guard let found = places.first(where: { RegularFile.exists($0 + "/config.json") }) else {
      throw OwnerError.unfitData(
        "\(path)/adapter_config.json: the base model `\(name)` is no directory here (looked at \(places.joined(separator: ", "))); download "
          + "it, and put its directory into base_model_name_or_path")
    }
    return found
  }
}
