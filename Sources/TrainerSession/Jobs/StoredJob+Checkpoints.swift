import Architecture
import Wire
import Checkpoints
import Tensors
import Training

extension StoredJob {
  /// Reads a checkpoint of this job, checked against the model's and the optimizer's shapes; parameters come in the model's order.
  ///
  /// - Throws: `CheckpointError` for one that is damaged, truncated, or of another job.
  func loadCheckpoint<Element: FloatingElement>(
    step: Int, from store: CheckpointStore
  ) throws -> TrainingCheckpoint<Element> {
    let specifications = try Model(description.model).structure.parameters
    // The starting weights are stored before any optimizer exists.
    let state =
      step == 0
      ? []
      : description.optimizer.statePrefixes.flatMap { prefix in
        specifications.map { TensorDescription(name: "\(prefix).\($0.name)", shape: $0.shape) }
      }
    return try store.load(
      step: step, jobDigest: id.description, parameters: specifications.map(TensorDescription.init),
      optimizerState: state)
  }
}
