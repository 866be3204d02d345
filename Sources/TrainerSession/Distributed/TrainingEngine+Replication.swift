import Architecture
import Collectives
import Tensors
import Training
import Wire

extension TrainingEngine {
  /// Gives all ranks the weights and optimizer memory of this one, rank 0.
  func broadcast(over communicator: any Communicator) throws(CollectiveError) {
    for index in model.structure.parameters.indices {
      try withParameter(index) { elements throws(CollectiveError) in
        try communicator.broadcast(UnsafeMutableBufferPointer(mutating: elements), from: 0)
      }
    }
    guard step > 0 else { return }
    for index in optimizerStateShapes.indices {
      try withOptimizerState(index) { elements throws(CollectiveError) in
        try communicator.broadcast(UnsafeMutableBufferPointer(mutating: elements), from: 0)
      }
    }
  }

  /// An engine with the weights and optimizer memory that rank 0 broadcasts.
  convenience init(
    receivingOver communicator: any Communicator, _ description: JobDescription, step: Int, workers: Workers
  ) throws {
    try self.init(
      model: description.model, optimizer: description.purpose == .training ? description.optimizer : nil,
      schedule: description.schedule, totalSteps: description.totalSteps,
      batchRows: ReplicatedRun<Element>.batchRows(description, replicas: communicator.size),
      partRows: description.microBatch, workers: workers
    ) { _, elements in
      try communicator.broadcast(elements, from: 0)
    }
    if step > 0 { try loadOptimizerState { _, elements in try communicator.broadcast(elements, from: 0) } }
    self.step = step
  }

  /// Makes this engine one replica of a job that trains.
  ///
  /// - Returns: the bytes of all gradients, and how long their sum takes when nothing else is done.
  func share(
    over reduction: CollectiveReduction<Element>, of description: JobDescription
  ) -> (bytes: Int, seconds: Double)? {
    guard description.purpose == .training else { return nil }
    share(over: reduction)
    return measureReduction()
  }
}
