/// How the tokens of a sample become its one row.
package enum TokenPooling: String, Sendable, Codable, CaseIterable {
  /// The token that the owner marks, the first.
  case cls
  /// The average of all tokens.
  case mean
  /// The token that the owner marks, the last.
  case last
  /// Every token is a row of its own: token classification, causal language modelling.
  case none
}
