import Files
import Foundation
package import Protocol

/// `history.jsonl`: one line per step and per evaluation, in order, without gaps or repeats.
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

  /// - Throws: `OwnerError.protocolViolation` for a record that does not follow the last one; `FileError` when the disk is full.
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

  /// Removes what a trainer that continues at `step` will do again, the evaluation after `step` steps included.
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

/// One line of `history.jsonl`: `kind` is "step" or "evaluation".
struct HistoryLine: Codable {
  enum CodingKeys: String, CodingKey {
    case kind, epoch, step, loss, metrics, kept, seconds
    case learningRate = "learning_rate"
    case gradientNorm = "gradient_norm"
  }

  var kind: String
  var epoch: Int?
  /// Of a step, its number from 0; of an evaluation, the steps done before it.
  var step: Int
  var loss: Double
  var metrics: [String: Double]?
  var learningRate: Double?
  var gradientNorm: Double?
  var kept: Bool?
  var seconds: Double

  static func text(for record: ProgressRecord) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let line =
      switch record {
      case .step(let step, let loss, let learningRate, let gradientNorm, let seconds):
        HistoryLine(
          kind: "step", step: step, loss: loss, learningRate: learningRate, gradientNorm: gradientNorm,
          seconds: seconds)
      case .evaluation(let epoch, let step, let loss, let metrics, let kept, let seconds):
        HistoryLine(
          kind: "evaluation", epoch: epoch, step: step, loss: loss, metrics: metrics, kept: kept, seconds: seconds)
      }
    // Numbers and short text always encode.
    return String(decoding: (try? encoder.encode(line)) ?? Data("{}".utf8), as: UTF8.self)
  }

  static func record(from text: String) -> ProgressRecord? {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let line = try? decoder.decode(HistoryLine.self, from: Data(text.utf8)) else { return nil }
    switch line.kind {
    case "step":
      return .step(
        step: line.step, loss: line.loss, learningRate: line.learningRate ?? 0,
        gradientNorm: line.gradientNorm ?? 0, seconds: line.seconds)
    case "evaluation":
      return .evaluation(
        epoch: line.epoch ?? 0, step: line.step, loss: line.loss, metrics: line.metrics ?? [:],
        kept: line.kept ?? false, seconds: line.seconds)
    default: return nil
    }
  }
}
