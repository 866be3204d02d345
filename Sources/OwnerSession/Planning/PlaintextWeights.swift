package import Architecture
package import Tensors

/// Where a model's weights are taken from, one tensor at a time, so that a model of several GB is never in memory twice.
package protocol PlaintextWeights: Sendable {
  /// The tensor that the trainer's model has under `specification`, unmasked.
  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws -> Tensor<Element>
}
