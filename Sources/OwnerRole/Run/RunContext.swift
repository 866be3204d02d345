import JobSpec
import Models
import Datasets
import Foundations
import Foundation
import Masking
import Synchronization
package import Numerics
import Training
package import Protocol

/// What both ways of training share on the owner's side: the prepared job, its keys and samples, the connection, the history and the
/// timers.
final class RunContext<Element: FloatingElement> {
  let prepared: PreparedJob
  /// The job as the trainer has it.
  let description: JobDescription
  let batches: any JobBatches
  /// Whether weights are scored after each epoch; those of a round are scored apart.
  let validates: Bool
  /// Of the steps.
  let loss: LossFunction
  let keys: JobKeys<Element>
  let samples: any MaskedSamples<Element>
  let connection: TrainerConnection<Element>
  let observe: (RunEvent) -> Void
  private let interruption: Interruption
  private(set) var history: RunHistory
  /// Of a private run.
  private(set) var ledger: StepLedger?
  private(set) var times: PhaseTimes
  /// Bytes sent so far that unmasked rows would not have had: the constant and the padding (d + 1 + k columns where d are plain).
  private(set) var bytesAddedToRows = 0

  /// - Parameters:
  ///   - round: a part of the prepared job's plan that is a job of its own; nil for the whole plan.
  ///   - loss: by default the task's.
  init(
    prepared: PreparedJob, round: (description: JobDescription, batches: RoundBatches)? = nil,
    loss: LossFunction? = nil, keys: JobKeys<Element>, samples: any MaskedSamples<Element>,
    connection: TrainerConnection<Element>, history: RunHistory, ledger: StepLedger? = nil,
    times: PhaseTimes, interruption: Interruption, observe: @escaping (RunEvent) -> Void
  ) {
    self.prepared = prepared
    description = round?.description ?? prepared.description
    batches = round?.batches ?? prepared.plan
    validates = round == nil && prepared.description.validationRows > 0
    self.loss = loss ?? LossFunction(task: prepared.job.task)
    self.keys = keys
    self.samples = samples
    self.connection = connection
    self.history = history
    self.ledger = ledger
    self.times = times
    self.interruption = interruption
    self.observe = observe
  }

  func record(_ record: ProgressRecord, rows: Int) throws {
    try history.append(record)
    observe(.progress(record, rows: rows))
  }

  /// Before anything that a step computes of its rows leaves. Does nothing in a run without privacy.
  func countInLedger(step: Int) throws {
    try ledger?.count(through: step)
  }

  func rewindHistory(toStep step: Int) throws {
    try history.rewind(toStep: step)
  }

  /// - Parameter kernel: what the trainer multiplies with from `step` on; empty where it does not say.
  func note(kernel: String, from step: Int) throws {
    try note([KernelUse(step: step, kernel: kernel)])
  }

  /// - Parameter kernels: what the trainer says that it has multiplied with; nil where it does not.
  func note(_ kernels: [KernelUse]?) throws {
    let known = history.kernels.count
    try history.note(kernels ?? [])
    let all = history.kernels
    for use in all.dropFirst(known) { observe(.multiplies(use, isOther: use.kernel != all.first?.kernel)) }
  }

  func syncHistory() throws {
    try history.sync()
  }

  /// The trainer's checkpoint after `step` steps can be resumed from once the history up to it is durable here too.
  func commit(step: Int) throws {
    try history.sync()
    try connection.send(.commit(step: step))
    observe(.saved(step: step))
  }

  /// Whether an evaluation beats every one before it by the task's metric.
  func isBest(_ result: Metrics) -> Bool {
    let primary = result.primary
    guard primary.value != nil else { return false }
    return history.records.allSatisfy { record in
      guard case .evaluation(_, _, _, let metrics, _, _) = record else { return true }
      let earlier = Metric(
        name: primary.name, value: metrics[primary.name], higherIsBetter: primary.higherIsBetter)
      return primary.isBetter(than: earlier)
    }
  }

  func measureReading<Value>(_ work: () throws -> Value) rethrows -> Value {
    try times.reading.measure(work)
  }

  func measureMasking<Value>(_ work: () throws -> Value) rethrows -> Value {
    try times.masking.measure(work)
  }

  func measureLoss<Value>(_ work: () throws -> Value) rethrows -> Value {
    try times.loss.measure(work)
  }

  func countAddedBytes(_ bytes: Int) {
    bytesAddedToRows += bytes
  }

  var isInterrupted: Bool { interruption.isRequested }

  /// Leaves on purpose: makes the history durable, tells the trainer, and throws `OwnerError.interrupted`.
  func leave() throws -> Never {
    try history.sync()
    try connection.send(.leave)
    throw OwnerError.interrupted(step: history.steps)
  }

  /// The next message of a job under way, or nil after a while without one.
  ///
  /// - Throws: as `TrainerConnection.receive`; `OwnerError.refused` when the job was cancelled from elsewhere.
  func nextMessage() throws -> TrainerMessage<Element>? {
    let message = try connection.receive(timeout: .milliseconds(500))
    if case .removed = message {
      throw OwnerError.refused(kind: .refused, reason: "the job was cancelled and is removed there")
    }
    return message
  }
}

/// How a run behaves, apart from its job.
package struct RunOptions: Sendable {
  package var compute: Compute
  /// How long to wait for a trainer that cannot be reached before giving up with exit 5; the run can be resumed after that.
  package var patience: Duration
  /// Upload and leave; only for loss at the trainer.
  package var detach: Bool
  /// A trainer that has sent nothing for this long, though it is pinged each second, counts as gone.
  package var silence: Duration
  package var software: String
  /// The trainer, as errors name it.
  package var peer: String

  package init(
    compute: Compute, patience: Duration, detach: Bool = false, silence: Duration = .seconds(8), software: String,
    peer: String = "the trainer"
  ) {
    self.compute = compute
    self.patience = patience
    self.detach = detach
    self.silence = silence
    self.software = software
    self.peer = peer
  }
}

/// A request to stop, set once by a signal handler and checked between messages.
package final class Interruption: Sendable {
  private let flag = Atomic<Bool>(false)

  package init() {}

  package var isRequested: Bool { flag.load(ordering: .relaxed) }

  package func request() { flag.store(true, ordering: .relaxed) }
}

/// Where the owner's wall time goes.
package struct PhaseTimes: Sendable {
  /// One phase's total.
  package struct Meter: Sendable {
    package private(set) var total = Duration.zero

    package mutating func measure<Value>(_ work: () throws -> Value) rethrows -> Value {
      let clock = ContinuousClock()
      let start = clock.now
      defer { total += start.duration(to: clock.now) }
      return try work()
    }

    package mutating func add(_ duration: Duration) {
      total += duration
    }

    package var seconds: Double { total / .seconds(1) }
  }

  /// HDF5 in, and the scratch file in and out.
  package var reading = Meter()
  package var masking = Meter()
  /// For the trainer.
  package var waiting = Meter()
  /// Unmasking outputs, loss, metrics, masking gradients.
  package var loss = Meter()

  package init() {}
}

/// Events of a run, for progress displays and logs.
package enum RunEvent: Sendable {
  /// A phase of the work begins: "reading and masking", "uploading weights" …
  case began(String)
  /// Progress of a phase of known length: rows masked, chunks uploaded.
  case advanced(done: Int, total: Int)
  /// Something the user should know; the run goes on.
  case warning(String)
  case queued(position: Int)
  /// The trainer has saved the job and lets others run; it goes on by itself when its turn comes.
  case turnEnded
  case trainingStarts(step: Int, totalSteps: Int)
  case progress(ProgressRecord, rows: Int)
  /// No trainer has answered yet; the run waits for one.
  case waitingForTrainer(String)
  /// The connection to the trainer is lost; the run waits for it.
  case trainerLost(String)
  case trainerBack
  case saved(step: Int)
  /// The trainer says what it multiplies with from a step on; `isOther` when the run began with something else.
  case multiplies(KernelUse, isOther: Bool)
}
