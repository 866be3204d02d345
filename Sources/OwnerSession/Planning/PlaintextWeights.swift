package import Architecture
package import Checkpoints
package import Tensors

/// Where a model's weights are taken from, one tensor at a time, so that a model of several GB is never in memory twice.
package protocol PlaintextWeights: Sendable {
  /// The tensor that the trainer's model has under `specification`, unmasked.
  ///
  /// - Throws: for a tensor that is missing, misshapen or unreadable.
  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(CheckpointError) -> Tensor<
    Element
  >
}
