import Architecture
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
    let masked = try WeightTransfer(connection: connection, specifications: specifications).download(progress: progress)
    let weights = try keys.unmaskParameters(masked, specifications)
    try ModelDirectory(directory.model).write(weights, shape: shape, standardization: standardization)
  }
}
