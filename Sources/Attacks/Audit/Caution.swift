/// What to bear in mind of an attack that fails on the unmasked rows too: that it fails under masking then says nothing for the masking.
struct Caution {
  /// Nil where the control does better than a guess, or was not tried to the end.
  let text: String?

  /// - Parameter control: the attempt on the rows without key and noise.
  init(control: Measurement, of facts: AttackFacts) {
    text =
      Self.fails(control, facts)
      ? "The attack gets nowhere on these rows unmasked either, for want of rows or of structure in them: that it fails under masking is "
        + "no merit of the masking." : nil
  }

  /// Whether an attempt that came to an end is hardly better than a guess.
  private static func fails(_ measurement: Measurement, _ facts: AttackFacts) -> Bool {
    // With more time it might have got somewhere.
    guard !measurement.isCutShort else { return false }
    switch facts.kind {
    case .modelMembership:
      // There is no key to do without: the attempt is the same one.
      return false
    case .knownRows:
      func detail(_ name: String) -> Double? { measurement.details.first { $0.name == name }?.value }
      return measurement.value == nil && detail("most known rows tried") != nil
        && detail("most known rows tried") == detail("most known rows to try")
    default:
      guard let value = measurement.value, let chance = measurement.chance else { return false }
      return facts.isWorseWhenHigher ? value - chance < 0.1 * (1 - chance) : value > 0.5 * chance
    }
  }
}
