/// Which weights of a pretrained model are trained; its embeddings never are.
package enum TrainedPart: Sendable, Equatable, Codable {
  case all
  /// The classifier alone, on a frozen model.
  case head
  /// Low-rank adapters of some linear layers, and a fresh classifier if there is one; the rest is frozen.
  case lora(LowRankAdaptation)

  package var adaptation: LowRankAdaptation? {
    if case .lora(let adaptation) = self { return adaptation }
    return nil
  }
}
