import Foundations
import Models
import Collectives
import Numerics
import Training
import Protocol
import Service

/// Sums an engine's gradients over the ranks of a communicator.
final class CollectiveReduction<Element: FloatingElement>: GradientReduction {
  private let communicator: any Communicator
  private var pending: [PendingOperation] = []
  private let clock = ContinuousClock()
  /// From the call of the last `finish`, which is the end of a backward pass, until all sums were there.
  private(set) var waited = Duration.zero

  init(_ communicator: any Communicator) {
    self.communicator = communicator
  }

  var replicas: Int { communicator.size }

  func start(_ elements: UnsafeMutableBufferPointer<Element>) {
    pending.append(communicator.startSum(elements))
  }

  func finish() -> Bool {
    defer { pending = [] }
    var isComplete = true
    waited = clock.measure {
      for sum in pending where (try? sum.wait()) == nil { isComplete = false }
    }
    return isComplete
  }
}

/// Reports every few seconds what of the summation of gradients was not hidden behind the backward pass.
struct ReductionMeter {
  private let job: JobID
  private let ranks: Int
  private let clock = ContinuousClock()
  private var lastReport: ContinuousClock.Instant
  /// Seconds that ranks waited, by step, until all have told.
  private(set) var waiting: [Int: [Double]] = [:]
  private(set) var steps = 0
  private var exposed = 0.0
  private var imbalance = 0.0

  init(job: JobID, ranks: Int) {
    self.job = job
    self.ranks = ranks
    lastReport = clock.now
  }

  /// - Returns: what to report, when it is time to.
  mutating func count(step: Int, waited: Double) -> TrainerEvent? {
    waiting[step, default: []].append(waited)
    guard let all = waiting[step], all.count == ranks, let minimum = all.min(), let maximum = all.max() else {
      return nil
    }
    waiting[step] = nil
    steps += 1
    // The last rank to come waits for the sum alone, the others for it, too.
    exposed += minimum
    imbalance += maximum - minimum
    guard lastReport.duration(to: clock.now) >= .seconds(5) else { return nil }
    defer {
      lastReport = clock.now
      (steps, exposed, imbalance) = (0, 0, 0)
    }
    return .role(
      .reductions(job: job, steps: steps, exposed: exposed / Double(steps), imbalance: imbalance / Double(steps)))
  }
}

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
    receivingOver communicator: any Communicator, _ description: JobDescription, step: Int, compute: Compute
  ) throws {
    try self.init(
      model: description.graph, optimizer: description.purpose == .training ? description.optimizer : nil,
      schedule: description.schedule, totalSteps: description.totalSteps,
      batchRows: ReplicatedRun<Element>.batchRows(description, replicas: communicator.size),
      partRows: description.microBatch, sampleClipping: description.sampleClipping(), compute: compute
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
