import JobSpec
import LeakAudit
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import OwnerRole

/// Audits of deployments with the keys and the models that they really have.
@Suite(.waiting, .timeLimit(.minutes(10))) struct DeploymentAuditTests {
  private func report(
    _ fixture: DeploymentFixture<Float>, _ source: ModelSource, separateKeys: Bool = true
  ) throws -> AuditReport {
    let deployment = try fixture.newDeployment(of: source, separateKeys: separateKeys)
    let audit = try DeploymentAudit(deployment.directory, compute: Compute(threads: 1))
    return try audit.report(
      on: audit.open(data: nil, features: nil, observe: { _ in }), rows: 64, minutes: 2, program: "test",
      observe: { _ in })
  }

  private func detail(_ name: String, _ result: AttackResult) -> Double? {
    result.masked?.details.first { $0.name == name }?.value
  }

  /// Two clients' copies of every model of rows: matched to the rounding of single precision, and the questions open as far as the first weights
  /// read them. Weights of a few units have singular values down to some hundredths of the largest: 1e-3 is 2⁻²⁴ over them with room to spare.
  @Test(arguments: QueryExactnessTests.rows.map(\.name)) func copiesOfRowModels(_ name: String) throws {
    let job = try #require(QueryExactnessTests.rows.first { $0.name == name }).job
    let fixture = try DeploymentFixture<Float>()
    let standardization = Standardization(
      mean: [Double](repeating: 0.5, count: SmallData.columns), scale: [Double](repeating: 2, count: SmallData.columns))
    let report = try report(
      fixture,
      fixture.source(
        try fixture.finishedRun(
          job.resolved(on: SmallData(in: fixture.directory)), standardization: job.standardize ? standardization : nil))
    )
    #expect(report.attacks.map(\.attack) == AttackKind.ofDeployments)
    #expect(report.deployment?.keys == 2 && report.deployment?.usesThrowAwayKey == false)
    let copies = try #require(report.result(.copies))
    #expect(copies.status == .measured)
    #expect(try #require(detail("residual of the weights", copies)) < 1e-4)
    let rank = try #require(detail("directions that the weights determine", copies))
    if Int(rank) > SmallData.columns { #expect(try #require(copies.masked?.value) < 1e-3) }
    #expect(report.result(.repeatedQuestions)?.masked?.value == 1)
  }

  /// Copies of encoders and decoders, adapters and heads included, and sessions of the language model.
  @Test(arguments: QueryExactnessTests.tokens.map(\.name)) func copiesOfTransformers(_ name: String) throws {
    let job = try #require(QueryExactnessTests.tokens.first { $0.name == name }).job
    let fixture = try DeploymentFixture<Float>()
    let report = try report(
      fixture, fixture.source(try fixture.finishedRun(try job.resolved(on: TokenData(in: fixture.directory)))))
    let copies = try #require(report.result(.copies))
    #expect(try #require(detail("residual of the weights", copies)) < 1e-4)
    #expect(try #require(detail("relative error of the key", copies)) < 1e-2)
    let cache = try #require(report.result(.generationCache))
    #expect(cache.status == (name.contains("language model") ? .measured : .inapplicable))
  }

  /// With one key in force the other copy is the one that a rotation would leave.
  @Test func aSharedKeyIsAuditedBesideARotatedOne() throws {
    let fixture = try DeploymentFixture<Float>()
    let report = try report(
      fixture, fixture.source(try fixture.finishedRun(SmallJob().resolved(on: SmallData(in: fixture.directory)))),
      separateKeys: false)
    #expect(report.deployment?.usesThrowAwayKey == true && report.deployment?.keys == 1)
    #expect(report.result(.copies)?.status == .measured)
    #expect(report.job.name.isEmpty == false && report.outOfScope.count == 3)
  }
}
