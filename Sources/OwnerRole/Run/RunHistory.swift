import Files
import Foundation
package import Protocol

/// `history.jsonl`: one line per step and per evaluation, in order, without gaps or repeats; between them a line wherever the trainer begins to
/// multiply with another kernel.
package struct RunHistory {
  private enum Line {
    case progress(ProgressRecord)
    case kernel(KernelUse)
  }

  private let log: LineLog
  private var lines: [Line] = []
  package private(set) var records: [ProgressRecord] = []

  /// Opens or creates the file; a torn last line, left by a kill, is dropped.
  package init(_ directory: RunDirectory) throws {
    log = try LineLog(path: directory.history.path)
    for text in try LineLog.lines(of: directory.history.path) {
      if let use = HistoryLine.kernel(from: text) {
        lines.append(.kernel(use))
      } else if let record = HistoryLine.record(from: text) {
        lines.append(.progress(record))
        records.append(record)
      } else {
        throw OwnerError.run("\(directory.history.path) holds a line that is not history")
      }
    }
  }

  /// What the trainer has multiplied with, from which step on.
  package var kernels: [KernelUse] {
    lines.compactMap { line in
      if case .kernel(let use) = line { return use }
      return nil
    }
  }

  /// Notes what the trainer multiplies with, unless that is what it did before.
  package mutating func note(_ use: KernelUse) throws {
    guard !use.kernel.isEmpty, kernels.last?.kernel != use.kernel else { return }
    try log.append(HistoryLine.text(for: use))
    lines.append(.kernel(use))
  }

  /// Notes all that a trainer says of a job, of which some may be known.
  package mutating func note(_ told: [KernelUse]) throws {
    for use in told where use.step >= kernels.last?.step ?? 0 { try note(use) }
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
    lines.append(.progress(record))
    records.append(record)
  }

  /// Removes what a trainer that continues at `step` will do again, the evaluation after `step` steps included.
  package mutating func rewind(toStep step: Int) throws {
    let end = lines.firstIndex { line in
      switch line {
      case .progress(.step(let number, _, _, _, _)): number >= step
      case .progress(.evaluation(_, let after, _, _, _, _)): after >= step
      case .kernel: false
      }
    }
    guard let end else { return }
    let dropped = lines[end...].count { line in
      if case .progress = line { return true }
      return false
    }
    // A kernel that came after is noted again when the trainer says what it multiplies with now.
    try log.truncate(toLines: end)
    lines.removeLast(lines.count - end)
    records.removeLast(dropped)
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

/// One line of `history.jsonl`: `kind` is "step", "evaluation" or "kernel".
struct HistoryLine: Codable {
  enum CodingKeys: String, CodingKey {
    case kind, epoch, step, loss, metrics, kept, seconds, kernel
    case learningRate = "learning_rate"
    case gradientNorm = "gradient_norm"
  }

  var kind: String
  var epoch: Int?
  /// Of a step, its number from 0; of an evaluation, the steps done before it.
  var step: Int
  var loss: Double?
  var metrics: [String: Double]?
  var learningRate: Double?
  var gradientNorm: Double?
  var kept: Bool?
  var seconds: Double?
  /// Of a kernel: what multiplies after `step` steps.
  var kernel: String?

  static func text(for use: KernelUse) -> String {
    text(HistoryLine(kind: "kernel", step: use.step, kernel: use.kernel))
  }

  static func text(for record: ProgressRecord) -> String {
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
    return text(line)
  }

  private static func text(_ line: HistoryLine) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    // Numbers and short text always encode.
    return String(decoding: (try? encoder.encode(line)) ?? Data("{}".utf8), as: UTF8.self)
  }

  private static func line(from text: String) -> HistoryLine? {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try? decoder.decode(HistoryLine.self, from: Data(text.utf8))
  }

  /// Nil for a line of another kind.
  static func kernel(from text: String) -> KernelUse? {
    guard text.contains("\"kernel\""), let line = line(from: text), line.kind == "kernel", let kernel = line.kernel
    else { return nil }
    return KernelUse(step: line.step, kernel: kernel)
  }

  static func record(from text: String) -> ProgressRecord? {
    guard let line = line(from: text), let loss = line.loss, let seconds = line.seconds else { return nil }
    switch line.kind {
    case "step":
      return .step(
        step: line.step, loss: loss, learningRate: line.learningRate ?? 0,
        gradientNorm: line.gradientNorm ?? 0, seconds: seconds)
    case "evaluation":
      return .evaluation(
        epoch: line.epoch ?? 0, step: line.step, loss: loss, metrics: line.metrics ?? [:],
        kept: line.kept ?? false, seconds: seconds)
    default: return nil
    }
  }
}
