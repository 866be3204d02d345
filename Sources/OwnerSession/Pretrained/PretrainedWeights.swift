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
    if specification.origin != .pretrained, let fresh {
      var tensor: Tensor<Element> = fresh.tensor(specification)
      // A fresh classifier reads the last norm as the checkpoint's own readers do; adapters are drawn for the folded weights.
      if specification.name == "score.weight", let gain: Tensor<Element> = try model.gain(readBy: specification.name) {
        tensor.scaleColumns(by: gain)
      }
      return tensor
    }
    return try model.tensor(specification.name)
  }
}
