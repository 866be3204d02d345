/// What a model is trained to do; decides the loss and the metrics.
package enum LearningTask: String, Sendable, Codable, CaseIterable {
  case classification
  case multilabel
  case regression
}
