import Foundation
import Foundations
import JobSpec
import Masking
package import Models
package import Numerics
package import OwnerRole

/// An audit of what a deployment's host can learn from questions, under the deployment's own keys. Sends nothing.
package struct DeploymentAudit {
  /// Samples that are read at most: of rows 4,096 are enough for every attack.
  package static let rowLimit = 1...8192
  /// Tokens of all samples: five eighths of them are asked about, as many as an audit of a job looks at.
  static let maxTokens = 26_000

  private let directory: DeploymentDirectory
  private let record: DeploymentRecord
  private let compute: Compute

  /// - Throws: `OwnerError.run` for a directory without a deployment, of another version, or one that is taken down; `FileError`.
  package init(_ directory: DeploymentDirectory, compute: Compute) throws {
    self.directory = directory
    self.compute = compute
    record = try directory.load()
    guard !record.isTakenDown, !record.copiesInUse.isEmpty else {
      throw OwnerError.run(
        "\(directory.root.path) is taken down, or has no client: there is no key that questions are asked under")
    }
  }

  /// The gate of the job whose run is deployed; nil where it has none, and for a checkpoint.
  ///
  /// - Throws: as reading a job does.
  package func gate() throws -> AuditGate? {
    guard record.source.kind != .checkpoint else { return nil }
    let job = RunDirectory(root: URL(filePath: record.source.path)).resolvedJob.path
    guard FileManager.default.fileExists(atPath: job) else { return nil }
    return try ResolvedJob.load(path: job, checkFiles: false).audit
  }

  /// The deployed model, and samples to ask it about.
  package struct Subject {
    let model: DeployableModel
    /// Path of the samples' file.
    let file: String
    let source: QuestionSource
  }

  /// Opens what is audited, before anything of it is computed.
  ///
  /// - Parameters:
  ///   - data: an HDF5 file of samples; nil for the data of the deployed run.
  ///   - features: where they are in it; nil for where the training data had them.
  ///   - observe: called with what is worth a warning.
  /// - Throws: `OwnerError.unfitData` for a model of other sizes or keys than the clients', for data that are not there, or do not fit;
  ///   `DatasetError`, `FileError`.
  package func open(
    data: String?, features: String?, observe: (AuditProgress) -> Void
  ) throws -> Subject {
    let longest = record.shape.tokens?.maximumTokens
    let model = try record.source.open(warn: { observe(.line("warning: \($0)")) }).taking(tokens: longest)
    guard model.questionShape == record.shape else {
      throw OwnerError.unfitData(
        "\(record.source.path) is not the model that was deployed: its sizes, names or masking are others; put the old one back, or make a new "
          + "deployment")
    }
    let file = try data ?? ownData(model)
    return Subject(
      model: model, file: file,
      source: try QuestionSource(record.shape, file: file, features: features, maximumTokens: longest))
  }

  /// Masks samples as clients do, and the model as the host has it, and attacks what the host then sees.
  ///
  /// The questions are under the key of the lowest number in force. The other copy is that of another key in force, or where there is one key alone of a
  /// throw-away one, as a rotation would leave it.
  ///
  /// - Parameters:
  ///   - rows: samples that are read, the first of the file.
  ///   - baseModel: whether the host can have the checkpoint that the model is or began from; nil for what its job says.
  ///   - minutes: for evidence and attacks together, as of a job's audit.
  ///   - program: that makes the report.
  /// - Throws: `OwnerError.unfitData` for samples that are too few or too long, and for other weights than were uploaded; `.tooLarge`; `.run` for a base
  ///   model of rows; `MaskingError` for keys that cannot be read; `DatasetError`, `FileError`.
  package func report(
    on subject: Subject, rows: Int, baseModel: BaseModelVisibility? = nil, minutes: Double, program: String,
    observe: (AuditProgress) -> Void
  ) throws -> AuditReport {
    let frame = AuditFrame(minutes: minutes, program: program, compute: compute)
    let (deployed, source) = (subject.model, subject.source)
    let read = min(rows, source.rows)
    try AuditMemory(deployed, rows: source.longest.map { min(read * $0, Self.maxTokens) } ?? read).check()
    let model = try AuditedModel(deployed, traits: try traits(deployed, rows: source.rows, baseModel))
    if let known = record.weights, model.contentHash != known { throw OwnerError.otherWeights }
    let questions = try Self.limited(try source.first(rows, standardization: deployed.standardization))
    let numbers = Set(record.copiesInUse.map(\.keyNumber)).sorted()
    let keys = try numbers.prefix(2).map { try directory.key($0, of: record.id) }
    observe(.line("masking \(questions.rows) samples and the model, under two keys"))
    let evidence = try DeploymentEvidence(
      model: model, questions: questions, key: keys.first ?? MasterKey(), other: keys.dropFirst().first ?? MasterKey(),
      compute: compute
    ).collect(until: frame.evidenceEnd)
    return frame.report(
      evidence, of: try AuditSubject(deployment: directory.record.path, data: subject.file),
      deployment: DeploymentTraits(
        id: record.id.description, clients: record.clients.count, keys: numbers.count,
        usesThrowAwayKey: numbers.count < 2), observe: observe)
  }

  /// - Parameter stated: nil where it is not said: a checkpoint that a job or adapters began from counts as public then, and a directory that was
  ///   deployed as it is does not, for it may have been fine-tuned.
  private func traits(_ model: DeployableModel, rows: Int, _ stated: BaseModelVisibility?) throws -> JobTraits {
    var traits = model.shape.traits(rows: rows)
    guard let pretrained = model.pretrained else {
      guard stated == nil else {
        throw OwnerError.run("--base-model is for a model that reads tokens; there is no checkpoint of this one")
      }
      return traits
    }
    let isItself = record.source.kind == .checkpoint && pretrained.settings.train.adaptation == nil
    traits.baseModel = stated ?? traits.baseModel ?? (isItself ? nil : .public)
    return traits
  }

  /// As many of the first samples as have no more tokens than an audit looks at.
  ///
  /// - Throws: `OwnerError.unfitData` where these are too few because they are long.
  static func limited(_ questions: QuestionContent) throws(OwnerError) -> QuestionContent {
    guard case .tokens(let samples) = questions else { return questions }
    var tokens = 0
    let taken = samples.prefix { sample in
      tokens += sample.count
      return tokens <= maxTokens
    }
    let least = DeploymentEvidence.minQuestions
    guard taken.count >= min(least, samples.count) else {
      let first = samples.prefix(least).reduce(0) { $0 + $1.count }
      throw .unfitData(
        "an audit looks at \(least) samples at least and at \(maxTokens) tokens at most, and the first \(least) samples have \(first); give "
          + "shorter texts with --data")
    }
    return .tokens(Array(taken))
  }

  private func ownData(_ model: DeployableModel) throws -> String {
    let own = model.job.data.file
    guard record.source.kind == .run, !own.isEmpty, FileManager.default.fileExists(atPath: own) else {
      throw OwnerError.unfitData(
        "the data that the deployed model was trained on are not at hand; give samples to ask about with --data FILE")
    }
    return own
  }
}
