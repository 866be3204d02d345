import Tensors
import Training
import Wire

/// What the coordinator of a job has a replica do.
///
/// Commands are carried out in order, but while a step is under way a part goes forward before gradients that came earlier, as
/// long as there is memory for it, and `abandon`, `save`, `keep` and `commit` wait for nothing but each other.
enum ReplicaCommand<Element: FloatingElement>: Sendable {
  /// Builds the job's engine; its weights and optimizer memory, as they were after `step` steps, follow by broadcast.
  case begin(JobDescription, step: Int)
  /// A step of which this replica has parts of so many samples, in this order; it is taken when all have their gradients.
  case step(Int, parts: [Int])
  case forward(part: Int, ReplicaInputs<Element>)
  /// ∂L/∂outputs.
  case gradient(part: Int, Tensor<Element>)
  /// Forward, loss and backward in one.
  case train(part: Int, ReplicaInputs<Element>, Targets<Element>, normalizer: Double)
  case infer(Int, ReplicaInputs<Element>)
  /// Gives up all steps commanded before that are not taken yet; every replica is told, so that they go on alike.
  case abandon
  /// To rank 0 alone: a checkpoint after the last step taken.
  case save
  /// To rank 0 alone: the present weights are the best so far.
  case keep(epoch: Int, metric: Double?)
  /// To rank 0 alone: checkpoints before this step may go; `exactly` tells whether there is one of this step.
  case commit(step: Int, exactly: Bool)
  /// The job ends.
  case end
  /// The process ends.
  case stop

  /// Whether it is about the store.
  var isOrder: Bool {
    switch self {
    case .save, .keep, .commit: true
    default: false
    }
  }
}
