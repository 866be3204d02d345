import Checkpoints
import Foundation
package import Wire

/// `history.jsonl`: one line a step and an evaluation, in order, none missing and none twice.
package struct RunHistory {
  private let log: LineLog
  package private(set) var records: [ProgressRecord] = []

  /// Opens or creates the file; a torn last line, left by a kill, is dropped.
  package init(_ directory: RunDirectory) throws {
    log = try LineLog(path: directory.history.path)
    records = try LineLog.lines(of: directory.history.path).map { line in
      guard let record = HistoryLine.record(from: line) else {
        throw OwnerError.run("\(directory.history.path) holds a line that is not history")
      }
      return record
    }
  }

  /// Steps recorded.
  package var steps: Int {
    for record in records.reversed() {
      if case .step(let step, _, _, _, _) = record { return step + 1 }
    }
    return 0
  }

  /// - Throws: `OwnerError.protocolViolation` for a record that does not follow the last one; `CheckpointError` when the disk is full.
  package mutating func append(_ record: ProgressRecord) throws {
    let follows =
      switch record {
      case .step(let step, _, _, _, _): step == steps
      case .evaluation(_, let after, _, _, _, _): after == steps && !isEvaluated
      }
    guard follows else { throw OwnerError.protocolViolation("a gap or a repeat in the history it sends") }
    try log.append(HistoryLine.text(for: record))
    records.append(record)
  }

  /// Forgets what a trainer that goes on at `step` will do again, its evaluation after `step` steps included.
  package mutating func rewind(toStep step: Int) throws {
    let kept = records.prefix { record in
      switch record {
      case .step(let number, _, _, _, _): number < step
      case .evaluation(_, let after, _, _, _, _): after < step
      }
    }
    guard kept.count != records.count else { return }
    try log.truncate(toLines: kept.count)
    records = Array(kept)
  }

  /// Whether the last record is an evaluation.
  private var isEvaluated: Bool {
    if case .evaluation = records.last { return true }
    return false
  }

  package func sync() throws {
    try log.sync()
  }
}
