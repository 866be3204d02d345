/// One row of a report.
package struct AttackResult: Sendable, Equatable, Codable {
  package enum Status: String, Sendable, Codable {
    case measured
    /// There is nothing in this job for it to find; `reason` says why. A gate on it passes.
    case inapplicable
    /// It might find something, and could not be tried; `reason` says why. A gate on it does not pass.
    case notMeasured = "not_measured"
    /// The audit's time was up before it began; a gate on it does not pass.
    case outOfTime = "out_of_time"
  }

  package var attack: AttackKind
  package var title: String
  package var status: Status
  package var reason: String?
  /// What the provider is assumed to know beside what it sees.
  package var knowledge: String
  package var metric: String
  package var isWorseWhenHigher: Bool
  package var masked: Measurement?
  /// The same attempt with nothing masked: what the attack reaches where nothing stands in its way.
  package var unmasked: Measurement?
  /// Of both attempts.
  package var seconds: Double
  package var meaning: String?
  /// Set where the attack gets nowhere on the unmasked rows either, so that its failure under masking says nothing for the masking.
  package var caution: String?
  /// What would lower it, and the change in this job that does; `changes` is empty where nothing in a job helps.
  package var advice: String?
  package var changes: [String]
  package var source: String

  package init(_ facts: AttackFacts, status: Status, reason: String? = nil) {
    attack = facts.kind
    title = facts.title
    self.status = status
    self.reason = reason
    knowledge = facts.knowledge
    metric = facts.metric
    isWorseWhenHigher = facts.isWorseWhenHigher
    seconds = 0
    changes = []
    source = facts.source
  }
}
