/// What a report says of an attack whatever its outcome.
package struct AttackFacts: Sendable {
  package let kind: AttackKind
  /// "Known rows".
  package let title: String
  /// What the provider is assumed to know.
  package let knowledge: String
  /// What `Measurement.value` is.
  package let metric: String
  /// Whether more of it is worse for the owner; false where it is what an attack needs or how far off it is.
  package let isWorseWhenHigher: Bool
  /// Published source: authors, year, section.
  package let source: String

  package init(
    kind: AttackKind, title: String, knowledge: String, metric: String, isWorseWhenHigher: Bool, source: String
  ) {
    self.kind = kind
    self.title = title
    self.knowledge = knowledge
    self.metric = metric
    self.isWorseWhenHigher = isWorseWhenHigher
    self.source = source
  }
}
