import Models
import Files
import Collectives
import Foundations
import Foundation
import Numerics
import Training
import Protocol
import Service

/// What both loops, `OwnerPacedTraining` and `AutonomousTraining`, work with: the job, its replicas, and the way out.
///
/// With several ranks a loop runs on a thread of its own at rank 0 and computes nothing, so that no replica ever waits behind
/// another's arithmetic.
struct Coordination<Element: FloatingElement> {
  let job: TrainingJob
  let configuration: TrainerConfiguration
  let folder: URL
  let outbox: TrainerOutbox<Element>
  let inbox: Inbox<Element>
  let replicas: any Replicas<Element>
  /// What the replicas multiply with.
  let kernel: JobKernel
  /// Steps that rank 0's replica has taken.
  var step: Int
  /// The best weights so far, when the job keeps them.
  var best: (epoch: Int, metric: Double?)?
  /// Rows of steps of a private job, as the owner has said them.
  var sizes: [Int: Int] = [:]
  /// Set when a rank is gone: then only rank 0's replica is left, to save.
  private(set) var lostRank: CollectiveError?
  private(set) var meter: ReductionMeter

  init(context: RunnerContext<Element>, inbox: Inbox<Element>, replicas: any Replicas<Element>) {
    job = context.job
    configuration = context.configuration
    folder = context.folder
    outbox = context.outbox
    self.inbox = inbox
    self.replicas = replicas
    kernel = context.kernel
    step = context.engine.step
    best = context.best.map { ($0.epoch, $0.metric) }
    meter = ReductionMeter(job: context.job.id, ranks: replicas.size)
  }

  var description: JobDescription { job.description }

  func send(_ message: TrainerMessage<Element>) {
    outbox.post(.send(job.id, message))
  }

  func report(_ event: TrainerEvent) {
    outbox.post(.event(event))
  }

  /// Whether it is known how many rows a step has.
  func isOpen(_ step: Int) -> Bool {
    description.privacy == nil || sizes[step] != nil
  }

  /// 0 where that is not known.
  func rows(ofStep step: Int) -> Int {
    description.rows(ofStep: step) ?? sizes[step] ?? 0
  }

  func partCount(ofStep step: Int) -> Int {
    (rows(ofStep: step) + description.microBatch - 1) / description.microBatch
  }

  /// The last part of a batch may be short.
  func samples(ofPart part: Int, step: Int) -> Int {
    min(description.microBatch, rows(ofStep: step) - part * description.microBatch)
  }

  /// Tells all replicas of a step which parts of it are theirs.
  func begin(step: Int, _ assignment: PartAssignment) throws {
    try replicas.begin(
      step: step,
      samples: (0..<replicas.size).map { rank in
        assignment.parts(of: rank).map { samples(ofPart: $0, step: step) }
      })
  }

  /// A replica took a step.
  mutating func count(_ report: StepReport, waited: Double) {
    guard replicas.size > 1 else { return }
    if let event = meter.count(step: report.step, waited: waited) { self.report(event) }
  }

  mutating func noteLostRank(_ error: CollectiveError) {
    lostRank = error
  }

  /// Has every replica give up what is under way, and waits until they have.
  ///
  /// - Returns: what they answered meanwhile: a step that was taken, for one.
  mutating func settle() -> [(rank: Int, answer: ReplicaAnswer<Element>)] {
    var answers: [(rank: Int, answer: ReplicaAnswer<Element>)] = []
    replicas.abandon(others: lostRank == nil)
    var busy = Set(lostRank == nil ? 0..<replicas.size : 0..<1)
    while !busy.isEmpty {
      switch inbox.nextEvent(includingItems: false) {
      case .answer(let rank, .abandoned(let reached)):
        busy.remove(rank)
        if rank == 0 { step = reached }
      case .answer(let rank, let answer): answers.append((rank, answer))
      case .lost(let error):
        lostRank = error
        busy.formIntersection([0])
      case .item: break
      }
    }
    return answers
  }

  /// A durable checkpoint after the last step taken, while nothing is under way.
  ///
  /// - Throws: `ServiceError` for why there is none.
  mutating func save() throws {
    try replicas.order(.save)
    while true {
      switch inbox.nextEvent(includingItems: false) {
      case .answer(0, .saved): return
      case .answer(0, .failed(let kind, let text)): throw ServiceError(kind, text)
      // Other ranks tell of their last step when they come to it.
      case .answer(_, .applied(let report, let waited)): count(report, waited: waited)
      case .lost(let error): lostRank = error
      case .answer, .item: break
      }
    }
  }
}

/// Which replica works on which part of a batch: a function of sizes alone, so that a run's bits do not depend on who is
/// faster.
struct PartAssignment {
  /// By part.
  let ranks: [Int]

  /// - Parameter costs: by part; each replica gets about as much.
  init(costs: [Int], replicas: Int) {
    ranks = BalancedAssignment(costs: costs, room: Array(repeating: costs.count, count: max(1, replicas))).bins
  }

  /// In turn, for parts whose costs are not known yet.
  init(parts: Int, replicas: Int) {
    ranks = (0..<parts).map { $0 % max(1, replicas) }
  }

  /// Ascending.
  func parts(of rank: Int) -> [Int] {
    ranks.indices.filter { ranks[$0] == rank }
  }

  /// The most samples of a batch of rows that one replica works on; parts of one size go round.
  static func largestShare(batch: Int, part: Int, replicas: Int) -> Int {
    let parts = (batch - 1) / part + 1
    return min(batch, ((parts - 1) / max(1, replicas) + 1) * part)
  }
}

extension Coordination {
  /// The loop of the job's kind, ready to run.
  ///
  /// - Throws: `Failure` for stored rows that cannot be used.
  func loop(_ context: RunnerContext<Element>) throws -> () throws -> RunnerOutcome {
    let model = context.engine.model
    guard description.purpose == .training, description.lossLocation == .trainer else {
      var training = OwnerPacedTraining(
        self, inputs: try DeliveredInputs(context), inputWidth: model.inputWidth)
      return { try training.run() }
    }
    guard let task = description.task else { throw ServiceError.refused("the job names no task") }
    var data = try UploadedData<Element>(
      description: description, width: model.inputWidth, outputs: model.outputWidth, folder: folder)
    try data.reopen()
    var training = try AutonomousTraining(self, data: data, task: task)
    return { try training.run() }
  }
}
