import Datasets
import Families
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit
@testable import OwnerRole

/// What an audit of a deployment is of: the model that the host has, and what can be changed of a deployment.
@Suite(.waiting, .timeLimit(.minutes(10))) struct AuditedDeploymentTests {
  private let fixture: DeploymentFixture<Float>

  init() throws {
    fixture = try DeploymentFixture()
  }

  private func report(
    _ deployment: Deployment<Float>, data: URL? = nil, baseModel: BaseModelVisibility? = nil
  ) throws -> AuditReport {
    let audit = try DeploymentAudit(deployment.directory, compute: Compute(threads: 1))
    return try audit.report(
      on: audit.open(data: data?.path, features: nil, observe: { _ in }), rows: 64, baseModel: baseModel, minutes: 1,
      program: "test", observe: { _ in })
  }

  private func run(_ job: SmallJob, name: String = "run") throws -> URL {
    try fixture.finishedRun(job.resolved(on: SmallData(in: fixture.directory)), name: name)
  }

  // MARK: - The model that the host has

  /// A model that is trained on in its place: the audit would be of weights that no host has.
  @Test func otherWeightsThanTheHostsAreRefused() throws {
    let host = TrainerHost<Float>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let place = try run(SmallJob())
    let deployment = try fixture.deployed(fixture.source(place))
    #expect(try report(deployment).attacks.isEmpty == false)
    let other = try run(SmallJob().changing { $0.seed = 2 }, name: "other")
    let file = RunDirectory(root: place).model
    try FileManager.default.removeItem(at: file)
    try FileManager.default.copyItem(at: RunDirectory(root: other).model, to: file)
    let error = #expect(throws: OwnerError.self) { try report(deployment) }
    #expect(error?.kind == .inputData && error?.description.contains("other weights") == true)
  }

  /// A model of other keys in its place: questions and weights would be of two plans.
  @Test func otherKeysThanTheClientsAreRefused() throws {
    let place = try run(SmallJob())
    let deployment = try fixture.newDeployment(of: fixture.source(place))
    let other = try run(SmallJob().changing { $0.padding = 4 }, name: "other")
    try FileManager.default.removeItem(at: place)
    try FileManager.default.moveItem(at: other, to: place)
    let error = #expect(throws: OwnerError.self) { try report(deployment) }
    #expect(error?.kind == .inputData && error?.description.contains("is not the model") == true)
  }

  // MARK: - What it takes

  /// Keys of 11,000 columns are 6.8 GB at once: refused as of a job.
  @Test func aModelOfManyColumnsIsRefused() throws {
    let (rows, columns) = (12, 11_000)
    let file = fixture.directory.url("wide.h5")
    let writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("x", columns: columns, of: Float.self)
    for row in 0..<rows { try writer.append((0..<columns).map { Float((row * 7 + $0) % 11) }, to: "x") }
    try writer.write((0..<rows).map { Int64($0 % 3) }, to: "classes")
    try writer.commit()
    let small = SmallJob().changing { ($0.strength, $0.padding, $0.hidden) = (.none, 0, [3]) }
    let job = try small.resolved(on: SmallData(in: fixture.directory))
    let wide = ResolvedJob(
      name: job.name, trainer: job.trainer,
      data: JobData(
        file: file.path, inputs: .features("x"), labels: "classes", split: .fraction(validation: 0.2, seed: 3),
        standardize: false), task: job.task, model: job.model, masking: job.masking, lossLocation: job.lossLocation,
      optimizer: job.optimizer, schedule: job.schedule, train: job.train,
      checkpointEverySteps: job.checkpointEverySteps)
    let deployment = try fixture.newDeployment(of: fixture.source(try fixture.finishedRun(wide)))
    let error = #expect(throws: OwnerError.self) { try report(deployment) }
    #expect(
      error?.kind == .exhausted && error?.description.contains("11001 wide") == true, "\(error?.description ?? "")")
  }

  /// Samples of which fewer than are needed have as many tokens as an audit looks at: it is their length that is wrong, not their number.
  @Test func longTextsAreNotCalledFew() throws {
    func samples(_ count: Int, tokens: Int) -> QuestionContent {
      .tokens((0..<count).map { _ in (0..<tokens).map { Token(id: 1, position: Int32($0)) } })
    }
    let error = #expect(throws: OwnerError.self) { try DeploymentAudit.limited(samples(20, tokens: 4000)) }
    #expect(error?.description.contains("the first 8 samples have 32000") == true)
    #expect(try DeploymentAudit.limited(samples(20, tokens: 3000)).rows == 8)
    #expect(try DeploymentAudit.limited(samples(20, tokens: 10)).rows == 20)
    // Few samples are what they are.
    #expect(try DeploymentAudit.limited(samples(7, tokens: 10)).rows == 7)
  }

  // MARK: - What would lower an attack

  private func advice(_ attack: AttackKind, of job: SmallJob, strength: MaskingStrength? = nil) throws -> String {
    let source = try fixture.source(try run(job), strength: strength)
    let report = try report(try fixture.newDeployment(of: source))
    #expect(report.attacks.allSatisfy { $0.changes.isEmpty })
    return try #require(report.result(attack)?.advice)
  }

  /// No optimizer works on hosted weights: a job under permutations may be deployed under rotations.
  @Test(arguments: [AttackKind.knownRows, .spectralAlignment, .sourceSeparation])
  func aPermutationIsToBeDeployedAsARotation(attack: AttackKind) throws {
    let job = SmallJob().changing { ($0.strength, $0.optimizer) = (.permutation, SmallJob.adamw()) }
    let text = try advice(attack, of: job)
    #expect(text.contains("--strength rotation"), "\(text)")
    #expect(!text.contains("allow no more"), "\(text)")
  }

  @Test func nothingMaskedIsToBeDeployedMasked() throws {
    let text = try advice(.knownRows, of: SmallJob(), strength: MaskingStrength.none)
    #expect(text.contains("--strength rotation") && !text.contains("job"), "\(text)")
  }

  /// Copies under keys of their own would not help: two of them say what the keys differ by.
  @Test func aRotationIsNotToBeSplit() throws {
    let text = try advice(.knownRows, of: SmallJob())
    #expect(!text.contains("split") && !text.contains("--strength"), "\(text)")
  }

  // MARK: - A directory of the libraries

  /// Nobody has said that it is public: its own weights are no knowledge of the host's.
  @Test func aDirectoryIsNotPublicUnlessItIsSaid() throws {
    let data = try TokenData(in: fixture.directory)
    let run = try fixture.finishedRun(try TokenJob().resolved(on: data))
    let source = try fixture.source(run.appending(path: "model"), task: .classification)
    let deployment = try fixture.newDeployment(of: source)
    let file = try questions()
    func base(_ visibility: BaseModelVisibility?) throws -> AttackResult {
      try #require(try report(deployment, data: file, baseModel: visibility).result(.baseWeights))
    }
    let unsaid = try base(nil)
    #expect(unsaid.status == .notMeasured && unsaid.reason?.contains("public") == true)
    #expect(try base(.private).status == .inapplicable)
    #expect(try base(.public).masked?.value == 0)
  }

  @Test func rowsHaveNoBaseModel() throws {
    let deployment = try fixture.newDeployment(of: fixture.source(try run(SmallJob())))
    let error = #expect(throws: OwnerError.self) { try report(deployment, baseModel: .public) }
    #expect(error?.kind == .usage && error?.description.contains("--base-model") == true)
  }

  /// Under the names that a directory's clients have.
  private func questions() throws -> URL {
    let file = fixture.directory.url("questions.h5")
    let writer = try HDF5Writer(path: file.path)
    for column in ["input_ids", "attention_mask", "token_type_ids"] {
      try writer.createMatrix(column, columns: TokenData.columns, of: Int64.self)
    }
    for row in 0..<30 {
      let length = 3 + row % (TokenData.columns - 2)
      try writer.append(
        (0..<TokenData.columns).map { $0 < length ? Int64(1 + (row * 7 + $0 * $0) % 19) : 0 }, to: "input_ids")
      try writer.append((0..<TokenData.columns).map { $0 < length ? Int64(1) : 0 }, to: "attention_mask")
      try writer.append((0..<TokenData.columns).map { $0 < 2 ? Int64(0) : 1 }, to: "token_type_ids")
    }
    try writer.commit()
    return file
  }
}
