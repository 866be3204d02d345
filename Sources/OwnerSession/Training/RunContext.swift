import Architecture
import Datasets
import Failures
import Foundation
import Masking
import Tensors
import Training
import Wire

/// What both ways of training share on the owner's side: the prepared job, its keys and rows, the connection, the history and the clock.
final class RunContext<Element: FloatingElement> {
  let prepared: PreparedJob
  let keys: JobKeys<Element>
  let samples: any MaskedSamples<Element>
  let connection: TrainerConnection<Element>
  let observe: (RunEvent) -> Void
  private let interruption: Interruption
  private(set) var history: RunHistory
  private(set) var times: PhaseTimes
  /// Bytes sent so far that unmasked rows would not have had: the constant and the padding (d + 1 + k columns where d are plain).
  private(set) var bytesAddedToRows = 0

  init(
    prepared: PreparedJob, keys: JobKeys<Element>, samples: any MaskedSamples<Element>,
    connection: TrainerConnection<Element>,
    history: RunHistory, times: PhaseTimes, interruption: Interruption, observe: @escaping (RunEvent) -> Void
  ) {
    self.prepared = prepared
    self.keys = keys
    self.samples = samples
    self.connection = connection
    self.history = history
    self.times = times
    self.interruption = interruption
    self.observe = observe
  }

  func record(_ record: ProgressRecord, rows: Int) throws {
    try history.append(record)
    observe(.progress(record, rows: rows))
  }

  func rewindHistory(toStep step: Int) throws {
    try history.rewind(toStep: step)
  }

  func syncHistory() throws {
    try history.sync()
  }

  /// The trainer's checkpoint after `step` steps is good for a resume once the history up to it is durable here too.
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

  /// Goes away on purpose: makes the history durable, tells the trainer, and throws `OwnerError.interrupted`.
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
