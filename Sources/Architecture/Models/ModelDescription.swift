/// What model to build, as the trainer is told it: sizes and kinds only.
package enum ModelDescription: Sendable, Equatable, Codable {
  /// Each row of the input is a sample.
  case mlp(MLPDescription)
  /// Each row of the input is a token; a sample has several.
  case transformer(TransformerDescription)

  /// Tokens of the longest sample; nil where a sample is one row.
  package var maximumTokens: Int? {
    switch self {
    case .mlp: nil
    case .transformer(let transformer): transformer.maximumTokens
    }
  }
}
