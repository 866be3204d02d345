package import Exposure

/// One way to learn something from what a provider sees, kept apart so that it cannot cheat: `attempt` gets the view and the knowledge
/// it states, and what it claims is scored against the truth afterwards.
///
/// The same attempt is made on the unmasked view, where an attack that works must succeed.
package protocol Attack: Sendable {
  /// What the provider is assumed to know beside the view.
  associatedtype Knowledge
  /// What the attempt says it found out.
  associatedtype Claim

  static var facts: AttackFacts { get }

  /// What of the owner's truth and the public's knowledge this attack assumes; or why there is nothing to attack here.
  ///
  /// Chooses by `random` where it needs some of the rows.
  func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge

  /// Works until it is done or `deadline` has passed, then claims what it has. The deadline is asked only while there is work left, for it
  /// takes the answer down as an attempt that was cut short.
  ///
  /// - Throws: what shadow training throws; otherwise nothing.
  func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim

  func score(_ claim: Claim, truth: OwnerTruth) -> Measurement

  /// What the number means for this job, in a sentence.
  func meaning(of measurement: Measurement, evidence: Evidence) -> String
}
