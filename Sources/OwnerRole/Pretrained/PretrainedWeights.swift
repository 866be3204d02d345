package import Architecture
package import Checkpoints
package import Tensors

/// A checkpoint's weights as a job starts from them: norm gains folded into the layers that read them where the family is pre-norm,
/// and whatever the checkpoint does not have drawn fresh.
package struct PretrainedWeights: PlaintextWeights {
  let model: PretrainedModel
  /// Nil where every tensor asked for is the checkpoint's.
  let fresh: FreshWeights?

  package func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(CheckpointError)
    -> Tensor<Element>
  {
    // Classifier and adapters are drawn for the folded weights: a Gaussian that no gain has stretched says nothing of the key.
    if specification.origin != .pretrained, let fresh { return fresh.tensor(specification) }
    return try model.tensor(specification.name)
  }
}
