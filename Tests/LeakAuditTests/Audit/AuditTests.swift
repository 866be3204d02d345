import Foundations
import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// What an audit says of attempts that were not made to the end.
@Suite struct AuditTests {
  @Test func aDeadlineRemembersThatWorkWasLeft() {
    let passed = Deadline(after: .zero)
    #expect(!passed.hasCutShort)
    let copy = passed
    #expect(copy.hasPassed && passed.hasCutShort)
    let whole = Deadline(after: .seconds(60))
    #expect(whole.after(share: 0).hasPassed && whole.hasCutShort && !whole.hasPassed, "a part of it")
    let far = Deadline(after: .seconds(60))
    #expect(!far.hasPassed && !far.hasCutShort)
  }

  private func evidence(rows: Int) throws -> Evidence {
    var random = SplitMix(seed: 5)
    let key = try SyntheticView.rotation(6, random: &random)
    let view = SyntheticView(
      rows: SyntheticRows.gaussian(rows, 6, random: &random), key: key, group: .orthogonal)
    return view.evidence(sample: SyntheticRows.gaussian(30, 6, random: &random))
  }

  private func results(rows: Int, within time: Duration) throws -> [AttackKind: AttackResult] {
    let results = Audit(try evidence(rows: rows), compute: Compute(threads: 2)).run(within: time) { _, _, _ in }
    return Dictionary(uniqueKeysWithValues: results.map { ($0.attack, $0) })
  }

  /// A microsecond is over before the second number of known rows.
  @Test func anAttemptThatIsCutShortSaysSo() throws {
    let results = try results(rows: 100, within: .microseconds(1))
    let first = try #require(results[.knownRows])
    #expect(first.status == .outOfTime || first.masked?.isCutShort == true)
    let ample = try #require(try self.results(rows: 100, within: .seconds(20))[.knownRows])
    #expect(ample.masked?.isCutShort == false && ample.masked?.value != nil)
  }

  /// Without a key the rows are what they are, whatever an attack that looks for one finds.
  @Test func rowsThatAreNotMaskedAreRead() throws {
    var random = SplitMix(seed: 6)
    let view = SyntheticView(
      rows: SyntheticRows.gaussian(100, 6, random: &random), key: SyntheticView.identity(6), group: .trivial)
    let evidence = view.evidence(sample: SyntheticRows.gaussian(30, 6, random: &random))
    let report = SampleReport.with(
      Audit(evidence, compute: Compute(threads: 2)).run(within: .seconds(10)) { _, _, _ in })
    #expect(report.result(.knownRows)?.masked?.value == 0)
    #expect(report.result(.spectralAlignment)?.masked?.value == 1)
    #expect(report.result(.sourceSeparation)?.masked?.value == 1)
    for gate in [
      AuditGate(knownRowsMin: 1), AuditGate(spectralRecoveryMax: 0.99), AuditGate(sourceSeparationMax: 0.99),
    ] {
      #expect(throws: AuditError.self) { try GateCheck(gate).check(report) }
    }
  }

  /// What the rows say with their noise, beside what they say without it.
  @Test func rowsThatAreOnlyNoisedAreReadBesideCleanOnes() throws {
    var random = SplitMix(seed: 6)
    // Noise of three deviations on the first column: it correlates with itself at 1/√10 = 0.32, the others at 1.
    let noise = (0..<100 * 6).map { $0 % 6 == 0 ? 3 * RecordScene.normal(&random) : 0 }
    let view = SyntheticView(
      rows: SyntheticRows.gaussian(100, 6, random: &random), key: SyntheticView.identity(6), group: .trivial,
      noise: noise)
    let results = Audit(
      view.evidence(sample: SyntheticRows.gaussian(30, 6, random: &random)), compute: Compute(threads: 2)
    ).run(within: .seconds(10)) { _, _, _ in }
    for attack in [AttackKind.spectralAlignment, .sourceSeparation] {
      let result = try #require(results.first { $0.attack == attack })
      #expect(result.masked?.value == 5.0 / 6)
      #expect(result.unmasked?.value == 1)
      #expect(result.masked?.interval == nil)
      #expect(result.seconds > 0)
    }
  }

  /// One row is all of them, though masked copies of it differ in their last digits.
  @Test func rowsThatAreAllTheSameFollowFromOne() throws {
    var random = SplitMix(seed: 7)
    let row = SyntheticRows.gaussian(1, 6, random: &random).elements
    let view = SyntheticView(
      rows: Tensor((0..<100).flatMap { _ in row }, shape: [100, 6]),
      key: try SyntheticView.rotation(6, random: &random), group: .orthogonal)
    let evidence = view.evidence(sample: SyntheticRows.gaussian(30, 6, random: &random))
    let results = Audit(evidence, compute: Compute(threads: 2)).run(within: .seconds(10)) { _, _, _ in }
    #expect(results.first { $0.attack == .knownRows }?.masked?.value == 1)
  }

  /// Squares of such numbers are none in single precision, and errors relative to them may be of any size.
  @Test(arguments: [Float(1e-30), 1e-20, 1e18])
  func rowsOfAnySizeAreReportedOn(_ scale: Float) throws {
    var random = SplitMix(seed: 8)
    let rows = SyntheticRows.gaussian(40, 6, random: &random).elements.map { $0 * scale }
    let view = SyntheticView(
      rows: Tensor(rows, shape: [40, 6]), key: try SyntheticView.rotation(6, random: &random), group: .orthogonal)
    let evidence = view.evidence(sample: SyntheticRows.gaussian(30, 6, random: &random))
    let results = Audit(evidence, compute: Compute(threads: 2)).run(within: .seconds(2)) { _, _, _ in }
    #expect(results.count == 9)
    #expect(!ReportPage(SampleReport.with(results)).html.isEmpty)
  }

  private struct DivergingShadows: ShadowTraining {
    struct Diverged: Failure {
      let kind = FailureKind.checkFailed
      let description = "training diverged at step 3"
    }

    let candidates = 100

    func scores(trainedOn isMember: [Bool], model: Int) throws -> Tensor<Double> { throw Diverged() }
  }

  /// One model that diverges says nothing of the other attacks, and no gate takes it for a model that gives nobody away.
  @Test func anAttackThatFailsIsNotMeasuredAndTheOthersAre() throws {
    var random = SplitMix(seed: 9)
    var scene = RecordScene(
      rows: RecordScene.normals(100, 6, &random), sample: RecordScene.normals(30, 6, &random))
    scene.shadows = DivergingShadows()
    let results = Audit(scene.evidence(&random), compute: Compute(threads: 2))
      .run(within: .seconds(20)) { _, _, _ in }
    #expect(results.map(\.attack) == AttackKind.ofJobs)
    let membership = try #require(results.first { $0.attack == .modelMembership })
    #expect(membership.status == .notMeasured && membership.masked == nil)
    #expect(membership.reason == "training diverged at step 3")
    #expect(results.first { $0.attack == .knownRows }?.status == .measured)
    #expect(throws: AuditError.self) {
      try GateCheck(AuditGate(membershipMax: 1)).check(SampleReport.with(results))
    }
  }

  /// Too few rows might be enough for another attacker; tokens of a job of features are not there for anybody.
  @Test func tooLittleToMeasureIsNotNothingToFind() throws {
    let results = try results(rows: 4, within: .seconds(10))
    #expect(results[.knownRows]?.status == .notMeasured)
    #expect(results[.modelMembership]?.status == .notMeasured)
    #expect(results[.tokenMatching]?.status == .inapplicable)
    #expect(results[.baseWeights]?.status == .inapplicable)
  }
}

/// A failure on unmasked rows says something of the rows only where the attempt was a fair one.
@Suite struct CautionTests {
  private func known(_ value: Double?, tried: Double, of most: Double) -> Measurement {
    Measurement(
      value: value, interval: nil, chance: nil, rows: 10,
      details: [.init("most known rows tried", tried), .init("most known rows to try", most)])
  }

  private func text(_ control: Measurement, _ facts: AttackFacts) -> String? {
    Caution(control: control, of: facts).text
  }

  @Test func allKnownRowsThatThereAre() {
    #expect(text(known(nil, tried: 256, of: 256), KnownRows.facts) != nil)
    #expect(text(known(8, tried: 256, of: 256), KnownRows.facts) == nil)
  }

  /// One known row, for want of time: nothing of the rows.
  @Test func knownRowsThatTimeCutShort() {
    #expect(text(known(nil, tried: 1, of: 256), KnownRows.facts) == nil)
  }

  @Test func aShareAtChance() {
    let share = Measurement(value: 0.52, interval: nil, chance: 0.5, rows: 10)
    #expect(text(share, MatchingGame.facts) != nil)
  }

  /// It is the same attempt with keys and without.
  @Test func modelMembership() {
    #expect(text(Measurement(value: 0.001, interval: nil, chance: 0.001, rows: 10), ModelMembership.facts) == nil)
  }

  @Test func noValue() {
    #expect(text(Measurement(value: nil, interval: nil, chance: 0.001, rows: 10), Linkage.facts) == nil)
  }
}
