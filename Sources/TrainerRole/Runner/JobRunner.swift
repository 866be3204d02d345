import Models
import Files
import Foundations
import Foundation
import Numerics
import Training
import Protocol
import Service

/// Runs one job on a thread of its own, so that the service thread stays free for sockets.
final class JobRunner<Element: FloatingElement>: JobRunning {
  let job: JobID
  let inbox: Inbox<Element>
  private let time = ThreadTime()

  /// Starts at once. Its end is posted to `outbox` as `.ended`, exactly once.
  init(
    job: TrainingJob, configuration: TrainerConfiguration, store: TrainingStore, outbox: TrainerOutbox<Element>,
    historySteps: Int
  ) {
    self.job = job.id
    let inbox = Inbox<Element>(capacity: 4 * OwnerPacedTraining<Element>.largestWindow)
    self.inbox = inbox
    let thread = Thread { [time] in
      time.start()
      let outcome = Self.run(
        job, configuration: configuration, store: store, inbox: inbox, outbox: outbox, historySteps: historySteps)
      time.end()
      outbox.post(.ended(job.id, outcome))
    }
    thread.stackSize = 8 << 20
    thread.name = "job"
    thread.start()
  }

  func stop(_ reason: StopReason) {
    inbox.stop(reason)
  }

  var stopRequested: StopReason? { inbox.stopRequested }

  var threadSeconds: Double { time.seconds }

  private static func run(
    _ job: TrainingJob, configuration: TrainerConfiguration, store: TrainingStore, inbox: Inbox<Element>,
    outbox: TrainerOutbox<Element>, historySteps: Int
  ) -> RunnerOutcome {
    do {
      if configuration.usesReplicas {
        return try ReplicatedRun(job, configuration: configuration, inbox: inbox).run(
          store: store, outbox: outbox, historySteps: historySteps)
      }
      let context = try RunnerContext(
        job: job, configuration: configuration, store: store, outbox: outbox, historySteps: historySteps)
      context.reportStart()
      let replica = try LocalReplica(context, inbox: inbox)
      return try Coordination(context: context, inbox: inbox, replicas: replica).loop(context)()
    } catch let failure as any Failure {
      // A runner reads no files but the store's.
      let stored = (failure as? FileError).map(ServiceError.init(ofStoredFiles:))
      let error = stored ?? ServiceError(failure.kind, failure.description)
      let passing: [FailureKind] = [.exhausted, .refused, .inputData, .keyOrPermission]
      return .failed(error, resumable: passing.contains(error.kind))
    } catch {
      return .failed(ServiceError(.defect, "\(error)"), resumable: true)
    }
  }
}

extension StopReason {
  var text: String { text(program: TrainerConfiguration.program) }

  /// How a job ends that was saved after `step` steps for this reason.
  func outcome(step: Int) -> RunnerOutcome {
    isTurn ? .turnEnded(step: step) : .paused(step: step, reason: text)
  }
}

extension CheckpointStore {
  /// The newest step with a checkpoint that a history of `historySteps` steps reaches.
  ///
  /// - Throws: `ServiceError` that says why there is none; `FileError`.
  func start(historySteps: Int) throws -> Int {
    let steps = try steps()
    if let step = steps.last(where: { $0 <= historySteps }) { return step }
    guard let oldest = steps.first else { throw ServiceError.refused("no checkpoint is left; submit the job anew") }
    // Checkpoints go only when some history has reached a later one.
    throw ServiceError.refused(
      "another run directory or process of this owner took the job further: the oldest checkpoint left is of step \(oldest), and the "
        + "history here ends at step \(historySteps); go on with that one")
  }
}

/// What every kind of runner works with: the job, its engine, its checkpoints, and the way out.
struct RunnerContext<Element: FloatingElement> {
  let job: TrainingJob
  let configuration: TrainerConfiguration
  let folder: URL
  let checkpoints: JobCheckpoints<Element>
  let outbox: TrainerOutbox<Element>
  let engine: TrainingEngine<Element>
  /// What the engine multiplies with.
  let kernel: JobKernel
  /// Nil for a job whose steps are not corrected.
  let corrections: CorrectionVectors<Element>?
  /// The weights after the best epoch so far, when the job keeps the best; they are durable.
  private(set) var best: CheckpointRecord.Best?
  private let frozenHash: String?

  var description: JobDescription { job.description }

  func send(_ message: TrainerMessage<Element>) {
    outbox.post(.send(job.id, message))
  }

  func report(_ event: TrainerEvent) {
    outbox.post(.event(event))
  }

  /// Opens the newest checkpoint of at most `historySteps` steps.
  ///
  /// - Parameter batchRows: the most samples of a batch that the engine works on; nil for all.
  /// - Throws: `ServiceError` when there is none that the owner's history reaches.
  init(
    job: TrainingJob, configuration: TrainerConfiguration, store: TrainingStore, outbox: TrainerOutbox<Element>,
    historySteps: Int,
    batchRows: Int? = nil
  ) throws {
    self.job = job
    self.configuration = configuration
    self.outbox = outbox
    folder = store.path(of: job.id)
    checkpoints = try JobCheckpoints(job, in: store)
    let step = try checkpoints.files.start(historySteps: historySteps)
    let use = try KernelHistory(of: job, in: folder).use(from: step, configuration)
    kernel = use.kernel
    let (engine, state) = try checkpoints.load(
      step: step,
      compute: configuration.kernels.compute(
        configuration.compute.workers, for: job.description.precision, kernel: kernel), batchRows: batchRows)
    self.engine = engine
    corrections = try checkpoints.corrections()
    best = state.best
    frozenHash = state.frozenHash
    if let earlier = use.insteadOf {
      report(.role(.kernelChanged(job: job.id, step: step, from: earlier.text, to: kernel.text)))
    }
  }

  /// Says that the job is at work, and on what.
  func reportStart() {
    report(.jobStarted(job: job.id, step: engine.step))
    report(.role(.multiplies(job: job.id, kernel: kernel.text, precision: description.precision.rawValue)))
  }

  /// Writes a durable checkpoint of the state after the last applied step.
  ///
  /// Before the first step there is nothing to save: the starting weights are durable, in a checkpoint without optimizer state.
  func saveCheckpoint() throws {
    guard engine.step > 0 else { return }
    let clock = ContinuousClock()
    let elapsed = try clock.measure { try checkpoints.save(engine, best: best, frozenHash: frozenHash) }
    configuration.metrics.countCheckpoint(elapsed)
    report(.role(.checkpoint(job: job.id, step: engine.step, seconds: elapsed / .seconds(1))))
  }

  /// The engine's present weights as the best so far, durable when this returns; the next checkpoint refers to them.
  mutating func keepPresentWeights(epoch: Int, metric: Double?) throws {
    try checkpoints.saveBest(engine, frozenHash: frozenHash)
    best = CheckpointRecord.Best(step: engine.step, epoch: epoch, metric: metric)
  }

  /// The owner's history reaches `step`: the newest checkpoint within it stays, however old, because the next attachment goes on from
  /// it, and those before it go.
  func commit(through step: Int) throws {
    if let kept = try checkpoints.files.steps().last(where: { $0 <= step }) { try removeCheckpoints(before: kept) }
  }

  /// Removes checkpoints of steps below `step`, and best weights that no checkpoint refers to any more.
  func removeCheckpoints(before step: Int) throws {
    try checkpoints.files.removeAll(before: step, keepingBest: best?.step)
  }
}
