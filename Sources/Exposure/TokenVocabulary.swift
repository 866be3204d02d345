package import Tensors

/// A checkpoint's embedding: vector = norm(word + position + type), or the word's vector alone.
package struct TokenVocabulary: Sendable {
  /// `[vocabulary, d]`.
  package let words: Tensor<Float>
  /// `[positions, d]`; nil where positions are no part of the embedding.
  package let positions: Tensor<Float>?
  /// `[types, d]`.
  package let types: Tensor<Float>?
  /// Of the LayerNorm after the sum, d each; nil without one.
  package let gain: Tensor<Float>?
  package let shift: Tensor<Float>?

  package init(
    words: Tensor<Float>, positions: Tensor<Float>?, types: Tensor<Float>?, gain: Tensor<Float>?, shift: Tensor<Float>?
  ) {
    self.words = words
    self.positions = positions
    self.types = types
    self.gain = gain
    self.shift = shift
  }
}
