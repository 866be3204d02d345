/// LoRA (Hu et al., 2021, section 4.1): h = W x + alpha/rank · B A x with W frozen.
package struct LowRankAdaptation: Sendable, Equatable, Codable {
  /// At least 1.
  package let rank: Int
  package let alpha: Double
  /// Last components of the names of the linear layers that are adapted: "query", "q_proj"; sorted, none twice.
  package let targets: [String]

  package init(rank: Int, alpha: Double, targets: [String]) {
    self.rank = rank
    self.alpha = alpha
    self.targets = targets
  }

  package var scale: Double { alpha / Double(rank) }
}
