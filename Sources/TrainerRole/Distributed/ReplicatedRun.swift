import Models
import Collectives
import Dispatch
import Foundations
import Foundation
import Synchronization
import Numerics
import Training
import Protocol
import Service

/// Runs one job on all ranks, as rank 0: its own replica on the calling thread, the loop and what receives the other ranks'
/// answers on threads of their own.
struct ReplicatedRun<Element: FloatingElement> {
  /// What one thread makes and another one then has alone.
  ///
  /// `@unchecked Sendable`: whoever makes it does not touch it afterwards.
  private struct Handover<Value>: @unchecked Sendable {
    let value: Value
  }

  private final class Ending: Sendable {
    let result = Mutex<Result<RunnerOutcome, any Error>>(.failure(CollectiveError.finished))
  }

  private let job: TrainingJob
  private let configuration: TrainerConfiguration
  private let inbox: Inbox<Element>
  private let communicator: any Communicator

  init(_ job: TrainingJob, configuration: TrainerConfiguration, inbox: Inbox<Element>) {
    self.job = job
    self.configuration = configuration
    self.inbox = inbox
    communicator = configuration.communicator
  }

  /// - Throws: `Failure` for what keeps the job from being run here.
  func run(store: TrainingStore, outbox: TrainerOutbox<Element>, historySteps: Int) throws -> RunnerOutcome {
    let context = try RunnerContext(
      job: job, configuration: configuration, store: store, outbox: outbox, historySteps: historySteps,
      batchRows: Self.batchRows(job.description, replicas: communicator.size))
    let engine = context.engine
    let correction: (any GradientCorrection<Element>)? = try job.description.correction(
      context.corrections, workers: configuration.compute.workers)
    let replicas = DistributedReplicas<Element>(communicator, inputWidth: engine.model.inputWidth)
    let loop = Handover(value: try Coordination(context: context, inbox: inbox, replicas: replicas).loop(context))
    let reduction = CollectiveReduction<Element>(communicator)
    do {
      for rank in 1..<max(1, communicator.size) {
        replicas.send(.begin(job.description, step: engine.step, kernel: context.kernel), to: rank)
      }
      try engine.broadcast(over: communicator)
      try context.corrections?.broadcast(over: communicator)
    } catch {
      return .paused(step: engine.step, reason: error.description)
    }
    if let measured = engine.share(over: reduction, of: job.description), communicator.size > 1 {
      context.report(
        .role(
          .reductionMeasured(
            job: job.id, ranks: communicator.size, bytes: measured.bytes, seconds: measured.seconds)))
    }
    context.reportStart()
    let observation = communicator.onFailure { [inbox] in inbox.post($0) }
    // The communicator lives on for other jobs; without this the inbox of every one would, too.
    defer { observation.end() }
    let threads = DispatchGroup()
    receiveAnswers(threads)
    let ending = Ending()
    Self.start("loop", threads) {
      let result = Result { try loop.value() }
      ending.result.withLock { $0 = result }
      replicas.sendAll(.end)
    }
    var replica = CommandedReplica(
      engine: engine, reduction: reduction, loss: job.description.task.map(LossFunction.init), correction: correction,
      mailbox: replicas.mailbox, context: context
    ) { [inbox] in inbox.post($0, from: 0) }
    _ = replica.run()
    threads.wait()
    return try ending.result.withLock { $0 }.get()
  }

  /// The most samples of a batch that one replica's engine works on. Those of sequences take memory by the part.
  static func batchRows(_ description: JobDescription, replicas: Int) -> Int {
    description.graph.maximumTokens == nil
      ? PartAssignment.largestShare(
        batch: description.batch, part: description.microBatch, replicas: replicas) : description.batch
  }

  /// Passes on what the other ranks answer, until all of them have forgotten the job, or one is gone or cannot be understood: whatever it
  /// said, all would wait for what depends on it.
  private func receiveAnswers(_ threads: DispatchGroup) {
    guard communicator.size > 1 else { return }
    let (communicator, inbox) = (communicator, inbox)
    Self.start("answers", threads) {
      var working = communicator.size - 1
      while working > 0, let (rank, message) = try? communicator.receive() {
        guard let answer = ReplicaPacket<Element>(decoding: message).flatMap(ReplicaAnswer.init) else {
          return communicator.fail(.misunderstood(rank: rank))
        }
        if case .ended = answer { working -= 1 }
        inbox.post(answer, from: rank)
      }
    }
  }

  private static func start(_ name: String, _ threads: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
    threads.enter()
    let thread = Thread {
      body()
      threads.leave()
    }
    thread.stackSize = 8 << 20
    thread.name = name
    thread.start()
  }
}
