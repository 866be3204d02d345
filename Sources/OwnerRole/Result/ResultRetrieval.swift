import Models
import Files
import Foundation
import JobSpec
package import Masking
package import Numerics
import Protocol

/// Fetches a finished job's weights, unmasks them and writes `model/`.
package struct ResultRetrieval<Element: FloatingElement> {
  package let connection: TrainerConnection<Element>
  package let shape: JobShape
  package let keys: JobKeys<Element>

  package init(connection: TrainerConnection<Element>, shape: JobShape, keys: JobKeys<Element>) {
    self.connection = connection
    self.shape = shape
    self.keys = keys
  }

  /// - Throws: `OwnerError` when the trainer is gone, has no result, or returns weights that are not finite; `FileError` when the
  ///   disk is full.
  package func write(
    to directory: RunDirectory, standardization: Standardization?, progress: (Int, Int) -> Void
  ) throws {
    let specifications = shape.structure.parameters
    let trained = specifications.filter(\.isTrained)
    var weights = try WeightTransfer(connection: connection, specifications: specifications).download(
      progress: progress)
    for index in weights.indices { weights[index] = try keys.unmaskParameter(weights[index], trained[index]) }
    let finished = NamedTensors(zip(trained.map(\.name), weights).map { ($0, $1) })
    try ModelDirectory(directory.model).write(
      finished, shape: shape, standardization: standardization, names: try DataNames.read(directory.names))
  }
}

/// Fetches the result of a job that ran without its owner: history and weights; then the trainer may remove the job.
package struct DetachedRetrieval<Element: FloatingElement> {
  private let directory: RunDirectory
  private let state: RunState
  private let shape: JobShape
  private let masterKey: MasterKey
  private let connection: TrainerConnection<Element>
  private let compute: Compute

  package init(
    directory: RunDirectory, state: RunState, shape: JobShape, masterKey: MasterKey,
    connection: TrainerConnection<Element>, compute: Compute
  ) {
    self.directory = directory
    self.state = state
    self.shape = shape
    self.masterKey = masterKey
    self.connection = connection
    self.compute = compute
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
    let keys = JobKeys<Element>(master: masterKey, plan: shape.keyPlan, compute: compute)
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
    } while history.records.count - known >= ProgressRecord.maxPerAnswer
    try history.sync()
  }
}
