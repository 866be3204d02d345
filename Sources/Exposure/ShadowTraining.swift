package import Tensors

/// Trains models like the job's own, in plaintext, to judge what a published model says of the rows it was trained on.
package protocol ShadowTraining: Sendable {
  /// Candidate records: half of them are in the published model's training rows.
  var candidates: Int { get }

  /// Trains on the candidates marked and returns, for every candidate, the logit of the model's confidence in each of its true labels,
  /// ln(p / (1 − p)), `[candidates, labels]`; the larger, the better the model knows it. For regression, minus the squared error. NaN where
  /// a label is missing.
  ///
  /// - Parameter model: numbers the models, so that each is drawn anew.
  /// - Throws: as training does.
  func scores(trainedOn isMember: [Bool], model: Int) throws -> Tensor<Double>
}
