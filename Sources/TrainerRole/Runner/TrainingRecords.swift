import Foundations
import Files
import Foundation
import Training
import Protocol
import Service

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

/// Counts a job's steps, and reports its progress every few seconds.
struct ProgressMeter {
  private let job: JobID
  private let totalSteps: Int
  private let metrics: TrainerMetrics
  private let clock = ContinuousClock()
  private var lastReport: ContinuousClock.Instant
  private var rows = 0

  init(job: JobID, totalSteps: Int, metrics: TrainerMetrics) {
    self.job = job
    self.totalSteps = totalSteps
    self.metrics = metrics
    lastReport = clock.now
  }

  /// After a step.
  ///
  /// - Parameter tokens: of its samples; 0 where a sample is one row.
  mutating func count(rows: Int, tokens: Int, step: Int, report: (TrainerEvent) -> Void) {
    metrics.countStep(rows: rows, tokens: tokens)
    self.rows += rows
    let elapsed = lastReport.duration(to: clock.now)
    guard elapsed >= .seconds(5) else { return }
    report(
      .role(
        .progress(
          job: job, step: step, totalSteps: totalSteps, rowsPerSecond: Double(self.rows) / (elapsed / .seconds(1)))))
    lastReport = clock.now
    self.rows = 0
  }
}

/// Which epoch's weights `keep: best` keeps where the trainer evaluates.
enum BestEpoch {
  /// - Parameter kept: the best epoch so far and its primary metric.
  static func isBest(_ primary: Metric, epoch: Int, than kept: (epoch: Int, metric: Double?)?) -> Bool {
    // Evaluated again after a resume: the kept weights are these.
    if kept?.epoch == epoch { return true }
    return primary.isBetter(
      than: Metric(name: primary.name, value: kept?.metric, higherIsBetter: primary.higherIsBetter))
  }
}
