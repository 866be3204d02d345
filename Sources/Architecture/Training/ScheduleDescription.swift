/// How the learning rate changes over a run.
package struct ScheduleDescription: Sendable, Equatable, Codable {
  package enum Decay: String, Sendable, Codable, CaseIterable {
    case none
    case linear
    case cosine
  }

  /// Share of all steps spent warming up, 0 … 1.
  package let warmup: Double
  package let decay: Decay

  package init(warmup: Double, decay: Decay) {
    self.warmup = warmup
    self.decay = decay
  }
}
