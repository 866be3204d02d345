/// Which side computes the loss.
package enum LossLocation: String, Sendable, Codable, CaseIterable {
  /// Masked outputs stream back each step; the trainer sees neither labels nor outputs in the clear.
  case owner
  /// Masked labels go with the batches; the trainer updates by itself and the owner may leave.
  case trainer
}
