import Models
import LeakAudit
import Testing

@Suite struct GateCheckTests {
  private let gate = AuditGate(knownRowsMin: 32, tokenRecoveryMax: 0.05)

  private func check(_ results: [AttackResult]) throws {
    try GateCheck(gate).check(SampleReport.with(results))
  }

  @Test func limitsThatAreMetPass() throws {
    try check([SampleReport.result(.knownRows, 32), SampleReport.result(.tokenMatching, 0.05)])
  }

  @Test func tooFewKnownRowsFail() {
    let error = #expect(throws: AuditError.self) {
      try check([SampleReport.result(.knownRows, 31), SampleReport.result(.tokenMatching, 0)])
    }
    #expect(error == .gate(["known_rows_min: 32, measured 31 (share)"]))
  }

  @Test func tooManyTokensFail() {
    let error = #expect(throws: AuditError.self) {
      try check([SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, 0.051)])
    }
    #expect(error == .gate(["token_recovery_max: 0.050, measured 0.051 (share)"]))
  }

  /// No number of known rows was enough, and as many as asked for were tried.
  @Test func anErrorThatIsNeverReachedPassesWhereEnoughRowsWereTried() throws {
    try check([SampleReport.knownRows(nil, tried: [1, 2, 31, 32]), SampleReport.result(.tokenMatching, 0)])
  }

  /// 31 rows say nothing of what 32 would tell.
  @Test func anErrorThatIsNeverReachedPassesNothingBeyondTheRowsTried() {
    let error = #expect(throws: AuditError.self) {
      try check([SampleReport.knownRows(nil, tried: [1, 2, 31]), SampleReport.result(.tokenMatching, 0)])
    }
    #expect("\(String(describing: error))".contains("only 31 known rows could be tried"))
  }

  /// More known rows without a number for an answer were not tried.
  @Test func anErrorThatIsNoNumberWasNotTried() {
    var result = SampleReport.knownRows(nil, tried: [1, 64])
    result.masked?.curve?.points[1].y = .nan
    #expect(throws: AuditError.self) { try check([result, SampleReport.result(.tokenMatching, 0)]) }
  }

  @Test func anAttackThatWasCutShortPassesNothing() {
    var known = SampleReport.knownRows(nil, tried: [1, 64])
    known.masked?.isCutShort = true
    var tokens = SampleReport.result(.tokenMatching, 0)
    tokens.masked?.isCutShort = true
    let error = #expect(throws: AuditError.self) { try check([known, tokens]) }
    #expect(
      error
        == .gate([
          "known_rows_min: 32, but the attack was cut short; give the audit more --minutes",
          "token_recovery_max: 0.050, but the attack was cut short; give the audit more --minutes",
        ]))
  }

  /// Time would not lower what was found already.
  @Test func whatWasFoundBeforeTheEndIsToldAsFound() {
    var tokens = SampleReport.result(.tokenMatching, 0.5)
    tokens.masked?.isCutShort = true
    let error = #expect(throws: AuditError.self) { try check([SampleReport.result(.knownRows, 64), tokens]) }
    #expect(error == .gate(["token_recovery_max: 0.050, measured 0.500 (share)"]))
  }

  @Test func aControlThatWasCutShortDoesNotMatter() throws {
    var tokens = SampleReport.result(.tokenMatching, 0)
    tokens.unmasked?.isCutShort = true
    try check([SampleReport.result(.knownRows, 64), tokens])
  }

  @Test func aRunThatWasCutShortPassesNothing() {
    let results = [SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, 0)]
    let error = #expect(throws: AuditError.self) {
      try GateCheck(gate).check(SampleReport.with(results, isCutShort: true))
    }
    #expect("\(String(describing: error))".contains("the observed run was cut short"))
  }

  /// 0.04 may be 0.06, and 40 rows may be 30.
  @Test func theEndOfAnIntervalThatLeaksMoreCounts() {
    var known = SampleReport.result(.knownRows, 40)
    known.masked?.interval = Interval(lower: 30, upper: 50)
    var tokens = SampleReport.result(.tokenMatching, 0.04)
    tokens.masked?.interval = Interval(lower: 0.02, upper: 0.06)
    let error = #expect(throws: AuditError.self) { try check([known, tokens]) }
    #expect(
      error
        == .gate([
          "known_rows_min: 32, measured 40, at 95 % 30 … 50: the gate takes the end that leaks more, 30 (share)",
          "token_recovery_max: 0.050, measured 0.040, at 95 % 0.020 … 0.060: the gate takes the end that leaks more, 0.060 (share)",
        ]))
  }

  @Test func theOtherEndDoesNotCount() throws {
    var known = SampleReport.result(.knownRows, 40)
    known.masked?.interval = Interval(lower: 32, upper: 1000)
    var tokens = SampleReport.result(.tokenMatching, 0.04)
    tokens.masked?.interval = Interval(lower: 0, upper: 0.05)
    try check([known, tokens])
  }

  /// No number was enough, but fewer than asked for may have been.
  @Test func anIntervalBesideNoValueMayTellOfABreach() {
    var known = SampleReport.knownRows(nil, tried: [16, 64])
    known.masked?.interval = Interval(lower: 16, upper: .infinity)
    #expect(throws: AuditError.self) { try check([known, SampleReport.result(.tokenMatching, 0)]) }
  }

  @Test func anAttackThatReachedNoValuePassesNoHighestShare() {
    #expect(throws: AuditError.self) {
      try check([SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, nil)])
    }
  }

  @Test func anAttackWithNothingToFindPassesAndSaysSo() throws {
    var tokens = SampleReport.result(.tokenMatching, nil, status: .inapplicable)
    tokens.reason = "the rows are features, not tokens"
    let notices = try GateCheck(gate).check(SampleReport.with([SampleReport.result(.knownRows, 64), tokens]))
    #expect(notices == ["token_recovery_max: 0.050: nothing to attack, the rows are features, not tokens"])
  }

  @Test func anAttackThatCouldNotBeMeasuredPassesNothing() {
    var tokens = SampleReport.result(.tokenMatching, nil, status: .notMeasured)
    tokens.reason = "there are too few"
    let error = #expect(throws: AuditError.self) { try check([SampleReport.result(.knownRows, 64), tokens]) }
    #expect("\(String(describing: error))".contains("it was not measured: there are too few"))
  }

  @Test func anAttackWithoutTimePassesNothing() {
    #expect(throws: AuditError.self) {
      try check([SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, nil, status: .outOfTime)])
    }
  }

  @Test func aReportWithoutTheAttackPassesNothing() {
    #expect(throws: AuditError.self) { try check([SampleReport.result(.knownRows, 64)]) }
  }

  /// Each limit is on an attack of its own and of its own direction.
  @Test(arguments: [
    (AuditGate(spectralRecoveryMax: 0.5), AttackKind.spectralAlignment),
    (AuditGate(sourceSeparationMax: 0.5), .sourceSeparation),
    (AuditGate(linkageMax: 0.5), .linkage), (AuditGate(labelInformationMax: 0.5), .labelInference),
    (AuditGate(matchingMax: 0.5), .matchingGame), (AuditGate(membershipMax: 0.5), .modelMembership),
  ])
  func highestShares(_ gate: AuditGate, _ kind: AttackKind) throws {
    try GateCheck(gate).check(SampleReport.with([SampleReport.result(kind, 0.4)]))
    #expect(throws: AuditError.self) { try GateCheck(gate).check(SampleReport.with([SampleReport.result(kind, 0.6)])) }
  }

  @Test func smallestKeyError() throws {
    let gate = AuditGate(keyErrorMin: 1)
    try GateCheck(gate).check(SampleReport.with([SampleReport.result(.baseWeights, 1.3)]))
    #expect(throws: AuditError.self) {
      try GateCheck(gate).check(SampleReport.with([SampleReport.result(.baseWeights, 0.3)]))
    }
  }
}
