import Architecture
import Checkpoints
import Tensors

/// A whole transformer as a checkpoint in Hugging Face names, one tensor in memory at a time: the owner's embeddings, the norms that
/// were folded (gains of 1) and the weights that the trainer has.
struct PlaintextTensors<Element: FloatingElement> {
  let model: PretrainedModel
  let specifications: [ParameterSpecification]
  let weights: any PlaintextWeights

  /// To be written in this order; each reads its tensor when its turn comes.
  var tensors: [SafetensorsTensor] {
    let kept = model.keptTensors.map { description in
      lazy(description.name, description.shape) { [model] () throws(CheckpointError) in
        try model.directory.tensor(named: description.name)
      }
    }
    let folded = model.foldedNorms.map { description in
      SafetensorsTensor(description.name, Tensor<Element>(repeating: 1, shape: description.shape))
    }
    let trained = specifications.map { specification in
      lazy(specification.name, specification.shape) { [weights] () throws(CheckpointError) in
        try weights.tensor(specification)
      }
    }
    return kept + folded + trained
  }

  private func lazy(
    _ name: String, _ shape: [Int], _ tensor: @escaping @Sendable () throws(CheckpointError) -> Tensor<Element>
  ) -> SafetensorsTensor {
    SafetensorsTensor(name: name, type: SafetensorsType(Element.elementType), shape: shape) {
      (writer) throws(CheckpointError) in
      let values = try tensor()
      try values.withUnsafeBufferPointer { (buffer) throws(CheckpointError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }
}
