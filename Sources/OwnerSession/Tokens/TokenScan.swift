/// What a pass over all samples finds out before anything is sent.
package struct TokenScan: Sendable, Equatable {
  /// Tokens of the longest sample.
  package var longest = 0
  package var totalTokens = 0
  /// The largest class id among labels of tokens, plus 1; 0 without any.
  package var labelClasses = 0
}
