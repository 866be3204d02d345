import Architecture
import JobSpec
import FoundationEssentials
package import Masking
package import Tensors
import Wire

/// Comes back to a job that ran without its owner: history, weights, release.
package struct DetachedRetrieval<Element: FloatingElement> {
  private let directory: RunDirectory
  private let state: RunState
  private let shape: JobShape
  private let masterKey: MasterKey
  private let connection: TrainerConnection<Element>
  private let workers: Workers

  package init(
    directory: RunDirectory, state: RunState, shape: JobShape, masterKey: MasterKey,
    connection: TrainerConnection<Element>, workers: Workers
  ) {
    self.directory = directory
    self.state = state
    self.shape = shape
    self.masterKey = masterKey
    self.connection = connection
    self.workers = workers
  }

  /// - Returns: the run's history, completed.
  /// - Throws: `OwnerError.run` when the job is not finished yet, naming its step; otherwise as a run.
  package func retrieve() throws -> RunHistory {
    let status = try connection.status()
    guard status.state == .finished else {
      throw OwnerError.notFinished(
        "the job is \(status.state.rawValue) at step \(status.step) of \(status.totalSteps); retrieve it when it is finished"
      )
    }
    var history = try RunHistory(directory)
    if shape.job.lossLocation == .trainer { try complete(&history) }
    let keys = JobKeys<Element>(master: masterKey, plan: shape.keyPlan, workers: workers)
    try ResultRetrieval(connection: connection, shape: shape, keys: keys).write(
      to: directory,
      standardization: try ModelDirectory.readStandardization(directory.standardization)
    ) { _, _ in }
    var finished = state
    finished.phase = .finished
    try finished.save(directory)
    connection.release()
    return history
  }

  private func complete(_ history: inout RunHistory) throws {
    var known: Int
    repeat {
      known = history.records.count
      try connection.send(.follow(from: known))
      var isAnswered = false
      while !isAnswered {
        switch try connection.receive(timeout: .seconds(1)) {
        case .progress(let from, let records):
          guard from <= history.records.count else {
            throw OwnerError.protocolViolation("a gap in the history it sends")
          }
          for record in records.dropFirst(history.records.count - from) { try history.append(record) }
        case .status: isAnswered = true
        default: break
        }
      }
    } while history.records.count - known >= ProgressRecord.largestAnswer
    try history.sync()
  }
}
