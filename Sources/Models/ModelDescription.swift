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

/// A multi-layer perceptron: linear layers with one activation between them and none after the last, and before them, where there is
/// an adapter, one linear layer without an activation.
package struct MLPDescription: Sendable, Equatable, Codable {
  /// The input row in homogeneous coordinates; the layer that reads it has no bias of its own.
  package let input: HomogeneousColumns
  /// Width of the adapter, a linear layer that stands between the input and "layers.0" and starts from a Gaussian; nil for none.
  package let adapter: Int?
  /// Widths of the hidden layers, first to last; empty for a linear model.
  package let hidden: [Int]
  package let activation: Activation
  package let outputs: Int

  package init(
    input: HomogeneousColumns, hidden: [Int], activation: Activation, outputs: Int, adapter: Int? = nil
  ) {
    self.input = input
    self.adapter = adapter
    self.hidden = hidden
    self.activation = activation
    self.outputs = outputs
  }
}

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

/// Which published architecture a transformer follows, with its parameter names.
package enum TransformerFamily: String, Sendable, Codable, CaseIterable {
  /// Post-norm encoder with LayerNorm, biases everywhere, attention over the whole sequence; positions are added at the owner.
  case bert
  /// Pre-norm decoder with RMSNorm, rotary positions, grouped-query causal attention and a gated MLP.
  case llama
}
