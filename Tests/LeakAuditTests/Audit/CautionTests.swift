import Testing

@testable import LeakAudit

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
