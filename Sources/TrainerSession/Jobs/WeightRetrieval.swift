import Architecture
import Failures
import Checkpoints
import Tensors
import Training
import Wire

/// A finished job's weights while their owner fetches them chunk by chunk.
struct WeightRetrieval<Element: FloatingElement> {
  private let chunks: ParameterChunks
  private let parameters: [Tensor<Element>]

  /// Loads the last checkpoint: the best weights when the job keeps the best and has them, else the final ones.
  init(job: StoredJob, store: JobStore) throws {
    let specifications = try Model(job.description.model).structure.parameters
    chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
    let checkpoints = store.checkpoints(of: job.id)
    guard let step = try checkpoints.steps().last else {
      throw TrainerError(.defect, "a finished job without a checkpoint")
    }
    let checkpoint: TrainingCheckpoint<Element> = try job.loadCheckpoint(step: step, from: checkpoints)
    let kept = job.description.keep == .best ? checkpoint.best ?? checkpoint.parameters : checkpoint.parameters
    parameters = kept.map(\.tensor)
  }

  func chunk(_ number: Int) throws -> Tensor<Element> {
    guard (0..<chunks.count).contains(number) else {
      throw WireError.outOfOrder("weight chunk \(number) of \(chunks.count)")
    }
    return chunks.extract(number, from: parameters)
  }
}
