package import Architecture

/// How samples of tokens are packed for a model.
package struct TokenSettings: Sendable, Equatable {
  package let task: LearningTask
  /// Whether the pooled token is the last one of a sample rather than the first.
  package let poolsLast: Bool
  /// Whether each sample's tokens are sent in a fresh secret order: exact where attention does not know positions.
  package let shuffles: Bool

  package init(task: LearningTask, poolsLast: Bool, shuffles: Bool) {
    self.task = task
    self.poolsLast = poolsLast
    self.shuffles = shuffles
  }

  /// Encoders' attention knows positions only from what stands in the token vectors; nothing is hidden where nothing is masked.
  package static func shuffles(_ masking: MaskingDescription, family: TransformerFamily) -> Bool {
    family == .bert && (masking.shuffleTokens ?? true) && masking.strength != .none
  }

  /// The class of each token's output, in the order of the file; negative where it does not count. A language model's is the next
  /// token; other tasks have labels of their own.
  func targets(of sample: [Token]) -> [Int32] {
    guard task == .causalLanguageModel else { return sample.map(\.label) }
    return sample.dropFirst().map(\.id) + [-1]
  }
}
