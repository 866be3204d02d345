import Models
import Numerics
import Training
import Protocol

/// The replicas of a job's model that share its batches, as the loop that hands out the work sees them. Their answers come to
/// the job's inbox.
///
/// There are two kinds: one replica on the loop's own thread (`LocalReplica`), and one at each rank of a trainer of several
/// processes (`DistributedReplicas`). Inputs are written where they are needed: the loop does not know whether that is an engine's
/// memory or a message.
protocol Replicas<Element> {
  associatedtype Element: FloatingElement
  var size: Int { get }
  /// Whether a call returns when its work is done and answered. Then nothing is handed out before it is due: what was computed
  /// leaves before the next part is worked on.
  var isImmediate: Bool { get }
  /// Whether another part of the present step may go forward before a gradient comes.
  var hasRoom: Bool { get }

  /// Begins a step, which is taken when all parts have their gradients.
  ///
  /// - Parameter samples: by rank, of each of its parts in their order.
  func begin(step: Int, samples: [[Int]]) throws
  func forward(part: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws
  /// - Parameter gradient: ∂L/∂outputs.
  func backward(part: Int, _ gradient: Tensor<Element>, on rank: Int) throws
  /// Forward, loss and backward in one.
  ///
  /// - Parameter normalizer: what the sum of losses is divided by.
  func train(
    part: Int, _ extent: PartExtent, _ targets: Targets<Element>, normalizer: Double, on rank: Int,
    filling: InputFilling<Element>) throws
  func infer(_ number: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws
  /// Has rank 0 work on the store.
  ///
  /// - Throws: `WireError` when more is ordered than can be waited for.
  func order(_ order: StoreOrder) throws
  /// Has replicas give up all steps begun before that are not taken yet; each answers `.abandoned`.
  ///
  /// - Parameter others: whether those of other ranks are told, too; all of them or none, so that they go on alike.
  func abandon(others: Bool)
}

/// Writes inputs, row after row: [samples or tokens, width of the model's input].
typealias InputFilling<Element> = (UnsafeMutableBufferPointer<Element>) throws -> Void

/// How large one part's inputs are.
struct PartExtent {
  let samples: Int
  /// How tokens are divided into samples; nil where a sample is one row.
  let sequences: SequenceLayout?

  /// Of the inputs: samples or tokens.
  var rows: Int { sequences?.tokens ?? samples }
}

/// What is done in the job's store.
enum StoreOrder: Sendable {
  /// A checkpoint after the last step taken.
  case save
  /// The present weights are the best so far.
  case keep(epoch: Int, metric: Double?)
  /// Checkpoints before this step may go; `exactly` tells whether there is one of this step.
  case commit(step: Int, exactly: Bool)
}

/// The one replica of a trainer of one process: it works on the calling thread, and inputs go straight to the engine's memory.
final class LocalReplica<Element: FloatingElement>: Replicas {
  private var replica: Replica<Element>

  init(_ context: RunnerContext<Element>, inbox: Inbox<Element>) throws {
    replica = Replica(
      engine: context.engine, reduction: nil, loss: context.description.task.map(LossFunction.init),
      correction: try context.description.correction(
        context.corrections, workers: context.configuration.compute.workers), context: context
    ) { inbox.post($0, from: 0) }
  }

  var size: Int { 1 }
  var isImmediate: Bool { true }
  var hasRoom: Bool { replica.hasRoom }

  func begin(step: Int, samples: [[Int]]) throws {
    try replica.begin(step, samples: samples.first ?? [])
  }

  func forward(part: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws {
    try replica.forward(part, extent, filling: filling)
  }

  func backward(part: Int, _ gradient: Tensor<Element>, on rank: Int) throws {
    try replica.backward(part, gradient)
  }

  func train(
    part: Int, _ extent: PartExtent, _ targets: Targets<Element>, normalizer: Double, on rank: Int,
    filling: InputFilling<Element>
  ) throws {
    try replica.train(part, extent, targets, normalizer: normalizer, filling: filling)
  }

  func infer(_ number: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws {
    try replica.infer(number, extent, filling: filling)
  }

  func order(_ order: StoreOrder) throws {
    try replica.carryOut(order)
  }

  func abandon(others: Bool) {
    replica.abandon()
  }
}
