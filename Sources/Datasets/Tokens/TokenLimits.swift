/// What a model takes of its tokens.
package struct TokenLimits: Sendable, Equatable {
  /// Token ids are below this, 1 … 2³¹ − 1.
  package let vocabulary: Int
  /// Token types are below this; 0 for a model without types.
  package let types: Int
  /// The columns of a sequence that the model has positions for, at least 1.
  package let positions: Int
  /// Whether padding may only follow the tokens of a row. A decoder needs it: its last token is the row's last, and what follows
  /// a token must not change it.
  package let requiresTrailingPadding: Bool

  package init(vocabulary: Int, types: Int, positions: Int, requiresTrailingPadding: Bool) {
    self.vocabulary = vocabulary
    self.types = types
    self.positions = positions
    self.requiresTrailingPadding = requiresTrailingPadding
  }
}
