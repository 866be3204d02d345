package import Tensors

/// What an attacker may be assumed to have beside the view; each attack says which of it it uses.
package struct PublicKnowledge: Sendable {
  /// Rows of the same kind of data, none of them in the view, `[m, d]`.
  package let sampleRows: Tensor<Float>
  /// The tokens of texts of the same kind, none of them in the view; nil where rows are features.
  package let sampleTexts: [[Int32]]?
  /// The public weights that training started from, in the order of the view's parameters, zeros for those that were drawn from the
  /// owner's key; nil where there is no public checkpoint.
  package let baseWeights: [Tensor<Float>]?
  /// How the base checkpoint turns tokens into vectors.
  package let vocabulary: TokenVocabulary?

  package init(
    sampleRows: Tensor<Float>, sampleTexts: [[Int32]]?, baseWeights: [Tensor<Float>]?, vocabulary: TokenVocabulary?
  ) {
    self.sampleRows = sampleRows
    self.sampleTexts = sampleTexts
    self.baseWeights = baseWeights
    self.vocabulary = vocabulary
  }
}
