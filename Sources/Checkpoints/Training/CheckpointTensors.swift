package import Architecture

/// The tensors of a job's checkpoint files, in the order they are written and read in.
package struct CheckpointTensors: Sendable {
  private let trained: [TensorDescription]
  private let frozen: [TensorDescription]
  private let optimizerState: [TensorDescription]

  /// - Parameters:
  ///   - parameters: of the model.
  ///   - statePrefixes: what the optimizer keeps of each trained parameter, all tensors of the first prefix, then those of the
  ///     next: "momentum.layers.0.weight".
  package init(_ parameters: [ParameterSpecification], statePrefixes: [String]) {
    trained = parameters.filter(\.isTrained).map(TensorDescription.init)
    frozen = parameters.filter { !$0.isTrained }.map(TensorDescription.init)
    optimizerState = statePrefixes.flatMap { [trained] prefix in
      trained.map { TensorDescription(name: "\(prefix).\($0.name)", shape: $0.shape) }
    }
  }

  package var hasFrozen: Bool { !frozen.isEmpty }

  /// - Parameter step: the starting weights are stored before any optimizer exists.
  package func descriptions(_ content: CheckpointContent, step: Int) -> [TensorDescription] {
    switch content {
    case .frozen: frozen
    case .best: trained
    case .state:
      trained
        + (step == 0 ? [] : optimizerState).map {
          TensorDescription(name: CheckpointFormat.optimizerPrefix + $0.name, shape: $0.shape)
        }
    }
  }
}
