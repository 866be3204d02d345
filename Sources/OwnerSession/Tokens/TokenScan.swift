/// What a pass over all samples finds out before anything is sent.
package struct TokenScan: Sendable, Equatable {
  /// Tokens of each sample.
  package var lengths: [Int32] = []
  /// Tokens with a target of their own, for tasks that have such; 0 where labels are not read.
  package var countedTokens = 0
  /// Classes of the labels of tokens; 0 without any.
  package let labelClasses: Int

  package init(labelClasses: Int) {
    self.labelClasses = labelClasses
  }

  /// Tokens of the longest sample.
  package var longest: Int { Int(lengths.max() ?? 0) }
}
