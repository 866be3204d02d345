import Architecture
import Attacks
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

  /// No number of known rows was enough: more than asked for.
  @Test func anErrorThatIsNeverReachedPassesALowestNumberOfRows() throws {
    try check([SampleReport.result(.knownRows, nil), SampleReport.result(.tokenMatching, 0)])
  }

  @Test func anAttackThatReachedNoValuePassesNoHighestShare() {
    #expect(throws: AuditError.self) {
      try check([SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, nil)])
    }
  }

  @Test func anAttackThatDoesNotApplyPasses() throws {
    try check([SampleReport.result(.knownRows, 64), SampleReport.result(.tokenMatching, nil, status: .inapplicable)])
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
