/// What a model is trained to do; decides the loss and the metrics.
package enum LearningTask: String, Sendable, Codable, CaseIterable {
  case classification
  case multilabel
  case regression
  /// A class for each token; tokens with a negative label do not count.
  case tokenClassification = "token-classification"
  /// The next token, at every token but a sample's last.
  case causalLanguageModel = "causal-lm"

  /// Whether every token has an output and a target of its own.
  package var isPerToken: Bool { self == .tokenClassification || self == .causalLanguageModel }
  /// Whether targets are class ids, and the loss is softmax cross-entropy.
  package var hasClasses: Bool { self == .classification || isPerToken }
}
