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

  /// The records written so far; none when the job has not begun.
  static func records(in folder: URL) throws -> [ProgressRecord] {
    guard FileManager.default.fileExists(atPath: path(in: folder)) else { return [] }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try LineLog.lines(of: path(in: folder)).map { try decoder.decode(ProgressRecord.self, from: Data($0.utf8)) }
  }
}
