import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import LeakAudit
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

  /// How far from R T the key may be that follows from two copies, ‖K̂ − K‖, of keys that are rotations; K is at least 1 long.
  ///
  /// A masked weight is two products of at most n terms in single precision, each off by at most n 2⁻²⁴ ‖K‖ ‖L‖, ‖K‖ = √n (Higham, Accuracy and
  /// Stability of Numerical Algorithms, 2002, section 3.5). Both copies together turn an isometry by at most 2 ‖E‖ / σ, σ the smallest singular
  /// value of what is read (Li, SIAM J. Matrix Anal. Appl. 16, 1995, theorem 1). Behind an adapter two weights are multiplied.
  private func bound(_ source: ModelSource) throws -> Double {
    let model = try source.open()
    let parameters = model.structure.parameters
    let weights: [Tensor<Float>] = try parameters.map { try model.weights.tensor($0) }
    let groups = Dictionary(model.keyPlan.rows.map { ($0.space, $0.group) }, uniquingKeysWith: { first, _ in first })
    let legs = CopyAnchors(
      parameters: parameters, groups: groups, first: weights, second: weights, compute: Compute(threads: 1)
    ).anchors(of: model.keyPlan.input.space).flatMap(\.legs).map(\.first)
    let width = model.keyPlan.input.width
    let matched = Tensor(legs.flatMap(\.elements), shape: [legs.reduce(0) { $0 + $1.rows }, width])
    let values = try SingularValues(of: matched).values
    let smallest = try #require(values.last { $0 > 1e-4 * values[0] })
    let hasAdapter = model.job.masking.adapterWidth != nil
    let norms = (hasAdapter ? weights.prefix(2).map { $0.converted(to: Double.self) } : [matched]).map {
      $0.sumOfSquares.squareRoot()
    }
    let n = Double(parameters.flatMap(\.shape).max() ?? 0)
    return 8 * Double(norms.count) * n * n.squareRoot() * 0x1p-24 * norms.reduce(1, *) / smallest
  }

  /// Of all rows, ‖(x, 1)‖ over ‖x − mean‖: what an error of the key is multiplied by in the questions.
  private func stretch(_ data: SmallData, _ fitted: Standardization?) -> Double {
    let rows = Tensor(
      data.features.flatMap { row in
        row.enumerated().map { column, value in
          fitted.map { (Double(value) - $0.mean[column]) / $0.scale[column] } ?? Double(value)
        }
      }, shape: [data.rows, SmallData.columns])
    return ((rows.sumOfSquares + Double(data.rows)) / rows.subtracting(rows.columnMeans).sumOfSquares).squareRoot()
  }

  /// Two clients' copies of every model of rows: matched to the rounding of single precision, and the questions open where the first weights read
  /// all of their columns.
  @Test(arguments: QueryExactnessTests.rows.map(\.name)) func copiesOfRowModels(_ name: String) throws {
    let job = try #require(QueryExactnessTests.rows.first { $0.name == name }).job
    let fixture = try DeploymentFixture<Float>()
    let standardization =
      job.standardize
      ? Standardization(
        mean: [Double](repeating: 0.5, count: SmallData.columns),
        scale: [Double](repeating: 2, count: SmallData.columns))
      : nil
    let data = try SmallData(in: fixture.directory)
    let source = try fixture.source(
      try fixture.finishedRun(job.resolved(on: data), standardization: standardization))
    let report = try report(fixture, source)
    #expect(report.attacks.map(\.attack) == AttackKind.ofDeployments)
    #expect(report.deployment?.keys == 2 && report.deployment?.usesThrowAwayKey == false)
    let copies = try #require(report.result(.copies))
    #expect(copies.status == .measured)
    #expect(try #require(detail("residual of the weights", copies)) < 1e-4)
    let rank = try #require(detail("directions that the weights determine", copies))
    if Int(rank) > SmallData.columns {
      // Questions are rounded as weights are; of a part of the rows the stretch is less than twice that of all.
      let bound = try 4 * bound(source) * stretch(data, standardization)
      let value = try #require(copies.masked?.value)
      #expect(value <= bound && bound < 0.02, "\(value), at most \(bound)")
    }
    #expect(report.result(.repeatedQuestions)?.masked?.value == 1)
  }

  /// Copies of encoders and decoders, adapters and heads included, and sessions of the language model. An encoder's residual is moved, not turned,
  /// because its norms have gains: its key is found to the bit.
  @Test(arguments: QueryExactnessTests.tokens.map(\.name)) func copiesOfTransformers(_ name: String) throws {
    let job = try #require(QueryExactnessTests.tokens.first { $0.name == name }).job
    let fixture = try DeploymentFixture<Float>()
    let source = try fixture.source(try fixture.finishedRun(try job.resolved(on: TokenData(in: fixture.directory))))
    let report = try report(fixture, source)
    let copies = try #require(report.result(.copies))
    #expect(try #require(detail("residual of the weights", copies)) < 1e-4)
    let error = try #require(detail("relative error of the key", copies))
    if job.family == .bert {
      #expect(error == 0)
    } else {
      let bound = try bound(source)
      #expect(error <= bound && bound < 0.02, "\(error), at most \(bound)")
    }
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
