import Cryptography
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
  private static let maxTokens = 26_000

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
  /// - Throws: `OwnerError.unfitData` for data that are not there, or do not fit; `DatasetError`, `FileError`.
  package func open(data: String?, features: String?, observe: (String) -> Void) throws -> Subject {
    let longest = record.shape.tokens?.maximumTokens
    let model = try record.source.open(warn: { observe("warning: \($0)") }).taking(tokens: longest)
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
  ///   - minutes: for evidence and attacks together, as of a job's audit.
  ///   - program: that makes the report.
  ///   - observe: called with what is done next.
  /// - Throws: `OwnerError.unfitData` for samples that are too few; `.tooLarge`; `MaskingError` for keys that cannot be read; `DatasetError`,
  ///   `FileError`.
  package func report(
    on subject: Subject, rows: Int, minutes: Double, program: String, observe: (String) -> Void
  ) throws -> AuditReport {
    let clock = ContinuousClock()
    let start = clock.now
    let allowed = Duration.seconds(60 * minutes)
    let (deployed, source) = (subject.model, subject.source)
    let questions = Self.limited(try source.first(rows, standardization: deployed.standardization))
    let numbers = Set(record.copiesInUse.map(\.keyNumber)).sorted()
    let keys = try numbers.prefix(2).map { try directory.key($0, of: record.id) }
    observe("masking \(questions.rows) samples and the model, under two keys")
    let evidence = try DeploymentEvidence(
      model: AuditedModel(deployed, rows: source.rows), questions: questions, key: keys.first ?? MasterKey(),
      other: keys.dropFirst().first ?? MasterKey(), compute: compute
    ).collect(until: start + allowed / 2)
    let left = max(allowed / 4, allowed - start.duration(to: clock.now))
    let attacks = Audit(evidence, compute: compute).run(within: left) { title, number, count in
      observe("attack \(number + 1) of \(count): \(title)")
    }
    return AuditReport(
      job: evidence.traits, jobDigest: try AuditSubject.digest(ofFile: directory.record.path).bytes.hexadecimal,
      dataDigest: try AuditSubject.digest(ofFile: subject.file).bytes.hexadecimal,
      created: Date.now.formatted(.iso8601),
      program: program, rowsSeen: evidence.masked.inputs.rows, publicRows: evidence.knowledge.sampleRows.rows,
      minutes: minutes, seconds: start.duration(to: clock.now) / .seconds(1), attacks: attacks, noiseCost: nil,
      deployment: DeploymentTraits(
        id: record.id.description, clients: record.clients.count, keys: numbers.count,
        usesThrowAwayKey: numbers.count < 2))
  }

  /// As many of the first samples as have no more tokens than an audit looks at.
  private static func limited(_ questions: QuestionContent) -> QuestionContent {
    guard case .tokens(let samples) = questions else { return questions }
    var tokens = 0
    return .tokens(
      Array(
        samples.prefix { sample in
          tokens += sample.count
          return tokens <= maxTokens
        }))
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
