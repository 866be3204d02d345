/// What stands on top of the last block.
package struct TransformerHead: Sendable, Equatable, Codable {
  package let pooling: TokenPooling
  /// A dense layer of the model's width with tanh before the classifier, as BERT has for its first token.
  package let hasPooler: Bool
  /// Classes, label columns, or the vocabulary of a language model; at least 1.
  package let outputs: Int
  package let hasBias: Bool
  /// The checkpoint's own language-model head rather than a fresh classifier.
  package let isLanguageModel: Bool

  package init(pooling: TokenPooling, hasPooler: Bool, outputs: Int, hasBias: Bool, isLanguageModel: Bool) {
    self.pooling = pooling
    self.hasPooler = hasPooler
    self.outputs = outputs
    self.hasBias = hasBias
    self.isLanguageModel = isLanguageModel
  }
}
