package import Architecture
import Checkpoints
package import Tensors

/// A checkpoint's weights as a job starts from them: norm gains folded into the layers that read them where the family is pre-norm,
/// and whatever the checkpoint does not have drawn fresh.
package struct PretrainedWeights: PlaintextWeights {
  let model: PretrainedModel
  let fresh: FreshWeights

  /// - Throws: `CheckpointError` for a tensor that is missing, misshapen or unreadable; `OwnerError.unfitData` for one that is not finite.
  package func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws -> Tensor<Element> {
    guard specification.origin == .pretrained else { return fresh.tensor(specification) }
    return try model.tensor(specification.name, shape: specification.shape)
  }
}
