import Failures
import Tensors
import Training

/// What a replica tells the coordinator of its job.
enum ReplicaAnswer<Element: FloatingElement>: Sendable {
  case outputs(step: Int, part: Int, Tensor<Element>)
  case trained(step: Int, part: Int, lossSum: Double)
  case inferred(Int, Tensor<Element>)
  /// The step was taken; `waited` are the seconds from the end of its backward pass until all gradients were summed.
  case applied(StepReport, waited: Double)
  /// Nothing is under way any more; `step` is the next.
  case abandoned(step: Int)
  case saved(step: Int)
  /// A command could not be carried out. Its step, if it was part of one, is given up by all.
  case failed(FailureKind, String)
  /// It has forgotten the job.
  case ended
}
