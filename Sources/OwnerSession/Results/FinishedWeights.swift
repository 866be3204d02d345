import Architecture
import Checkpoints
import Tensors

/// Trained weights by name, and what training left as it was from where it came.
struct FinishedWeights<Stored: FloatingElement>: PlaintextWeights {
  private let trained: NamedTensors<Stored>
  private let frozen: (any PlaintextWeights)?

  init(trained: NamedTensors<Stored>, frozen: (any PlaintextWeights)?) {
    self.trained = trained
    self.frozen = frozen
  }

  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(CheckpointError) -> Tensor<
    Element
  > {
    if let tensor = trained[specification.name] { return tensor.converted(to: Element.self) }
    guard let frozen else { throw .layout(.missingTensor(specification.name)) }
    return try frozen.tensor(specification)
  }
}
