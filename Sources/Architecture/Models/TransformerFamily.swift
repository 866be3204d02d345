/// Which published architecture a transformer follows, with its parameter names.
package enum TransformerFamily: String, Sendable, Codable, CaseIterable {
  /// Post-norm encoder with LayerNorm, biases everywhere, attention over the whole sequence; positions are added at the owner.
  case bert
  /// Pre-norm decoder with RMSNorm, rotary positions, grouped-query causal attention and a gated MLP.
  case llama
}
