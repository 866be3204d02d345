import Checkpoints
import Foundation
import Wire

/// A job's history at the trainer: one JSON line a record.
enum RecordLog {
  static func path(in folder: URL) -> String {
    folder.appending(path: "records.jsonl").path
  }

  static func append(_ record: ProgressRecord, to log: LineLog) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try log.append(String(decoding: try encoder.encode(record), as: UTF8.self))
  }

  /// The history of what was done before `step` alone, and how many records that are.
  static func open(in folder: URL, beforeStep step: Int) throws -> (log: LineLog, records: Int) {
    let log = try LineLog(path: path(in: folder))
    let known = try records(in: folder)
    let valid = known.prefix { record in
      switch record {
      case .step(let number, _, _, _, _): number < step
      // An evaluation after `step` steps is run again: the checkpoint was written before it.
      case .evaluation(_, let after, _, _, _, _): after < step
      }
    }
    if valid.count != known.count { try log.truncate(toLines: valid.count) }
    return (log, valid.count)
  }

  /// The records written so far; none when the job has not begun.
  static func records(in folder: URL) throws -> [ProgressRecord] {
    guard FileManager.default.fileExists(atPath: path(in: folder)) else { return [] }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try LineLog.lines(of: path(in: folder)).map { try decoder.decode(ProgressRecord.self, from: Data($0.utf8)) }
  }
}
