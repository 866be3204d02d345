/// A transformer from its embedded tokens on: the blocks and the head, as the trainer is told them.
package struct TransformerDescription: Sendable, Equatable, Codable {
  package let family: TransformerFamily
  /// d: the width of a token vector, heads × headWidth for BERT.
  package let width: Int
  package let blocks: Int
  package let heads: Int
  /// Heads of keys and values; divides `heads` (grouped-query attention: Ainslie et al., 2023).
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Nil where positions are part of the embedding.
  package let rotary: RotaryDescription?
  /// Whether query, key, value and output projections have biases.
  package let hasAttentionBiases: Bool
  package let hasMLPBiases: Bool
  package let head: TransformerHead
  package let trained: TrainedPart
  /// Tokens of the longest sample, at least 1.
  package let maximumTokens: Int
  /// Whether only each block's input is kept for the backward pass, which then computes the block again.
  package let recomputes: Bool

  package init(
    family: TransformerFamily, width: Int, blocks: Int, heads: Int, keyValueHeads: Int, headWidth: Int, hidden: Int,
    activation: Activation, normEpsilon: Double, rotary: RotaryDescription?, hasAttentionBiases: Bool,
    hasMLPBiases: Bool, head: TransformerHead, trained: TrainedPart, maximumTokens: Int, recomputes: Bool
  ) {
    self.family = family
    self.width = width
    self.blocks = blocks
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hidden = hidden
    self.activation = activation
    self.normEpsilon = normEpsilon
    self.rotary = rotary
    self.hasAttentionBiases = hasAttentionBiases
    self.hasMLPBiases = hasMLPBiases
    self.head = head
    self.trained = trained
    self.maximumTokens = maximumTokens
    self.recomputes = recomputes
  }
}
