package import Architecture

/// What a config.json says of a pretrained model: its sizes, and everything that decides which function its weights are.
package struct HuggingFaceConfiguration: Sendable, Equatable {
  package let family: TransformerFamily
  /// d: the width of a token vector.
  package let width: Int
  package let blocks: Int
  package let heads: Int
  /// Heads of keys and values; divides `heads`, and equals it for BERT.
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Nil for BERT.
  package let rotary: RotaryDescription?
  /// Whether query, key, value and output projections have biases.
  package let hasAttentionBiases: Bool
  package let hasMLPBiases: Bool
  /// Token ids are below this.
  package let vocabulary: Int
  /// Tokens of the longest sequence.
  package let positions: Int
  /// Token types are below this; 0 for a model without types.
  package let tokenTypes: Int
  package let paddingToken: Int?
  /// Deviation of fresh weights.
  package let initializerRange: Double
  /// Whether the language-model head is the word embedding.
  package let tiesWordEmbeddings: Bool
  /// The whole file, for writing it again.
  package let document: [String: JSONValue]

  /// The name of the word embedding, [vocabulary, width].
  package var wordEmbeddings: String {
    switch family {
    case .bert: "bert.embeddings.word_embeddings.weight"
    case .llama: "model.embed_tokens.weight"
    }
  }

  /// The model as the trainer is told it.
  package func transformer(
    head: TransformerHead, trained: TrainedPart, maximumTokens: Int, recomputes: Bool
  ) -> TransformerDescription {
    TransformerDescription(
      family: family, width: width, blocks: blocks, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      hidden: hidden, activation: activation, normEpsilon: normEpsilon, rotary: rotary,
      hasAttentionBiases: hasAttentionBiases, hasMLPBiases: hasMLPBiases, head: head, trained: trained,
      maximumTokens: maximumTokens, recomputes: recomputes)
  }
}
