import Architecture
import Checkpoints
import Foundation
package import Masking
package import Tensors

/// Fetches a finished job's weights, unmasks them and writes `model/`.
package struct ResultRetrieval<Element: FloatingElement> {
  package let connection: TrainerConnection<Element>
  package let shape: JobShape
  package let keys: JobKeys<Element>

  package init(connection: TrainerConnection<Element>, shape: JobShape, keys: JobKeys<Element>) {
    self.connection = connection
    self.shape = shape
    self.keys = keys
  }

  /// - Throws: `OwnerError` when the trainer is gone, has no result, or returns weights that are not finite; `CheckpointError` when the
  ///   disk is full.
  package func write(
    to directory: RunDirectory, standardization: Standardization?, progress: (Int, Int) -> Void
  ) throws {
    let specifications = shape.structure.parameters
    let trained = specifications.filter(\.isTrained)
    var weights = try WeightTransfer(connection: connection, specifications: specifications).download(
      progress: progress)
    for index in weights.indices { weights[index] = try keys.unmaskParameter(weights[index], trained[index]) }
    let finished = NamedTensors(zip(trained.map(\.name), weights).map { ($0, $1) })
    try ModelDirectory(directory.model).write(
      finished, shape: shape, standardization: standardization, names: try DataNames.read(directory.names))
  }
}
