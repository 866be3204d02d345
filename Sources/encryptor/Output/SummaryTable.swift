import Foundation
import Foundations
import Models
import OwnerRole
import Protocol

/// What a finished run shows: metrics an epoch, where the time went, what travelled, who computed.
struct SummaryTable {
  let report: RunReport
  let task: LearningTask
  let model: String

  /// Of most runs one.
  private var kernels: String {
    guard let kernels = report.kernels, let first = kernels.first else { return "" }
    return " by \(first.kernel)" + kernels.dropFirst().map { ", from step \($0.step) on by \($0.kernel)" }.joined()
  }

  var text: String {
    let seconds = report.seconds
    let other = max(0, seconds.total - seconds.reading - seconds.masking - seconds.waitingForTrainer - seconds.loss)
    let parts: [(String, Double)] = [
      ("reading", seconds.reading), ("masking", seconds.masking),
      ("waiting for the trainer", seconds.waitingForTrainer),
      ("loss and unmasking", seconds.loss), ("other", other), ("total", seconds.total),
    ]
    let times = TextTable(
      header: ["where the time went", "seconds", "share"],
      rows: parts.map {
        [$0.0, QuantityText.fixed($0.1, 2), QuantityText.fixed(100 * $0.1 / max(seconds.total, 1e-9), 1) + " %"]
      }, numeric: true)
    var lines = EvaluationTable(report.evaluations, keptEpoch: report.keptEpoch).lines
    if !lines.isEmpty { lines += ["* the epoch whose weights are kept", ""] }
    lines += times.lines
    lines += [
      "",
      "sent \(ByteSize.decimalText(report.bytesSent)), received \(ByteSize.decimalText(report.bytesReceived)); "
        + "\(QuantityText.fixed(report.expansion, 4)) × plain float32",
      "computed in \((report.precision ?? .float32).rawValue)\(kernels)",
      "owner CPU \(QuantityText.fixed(report.ownerCPUSeconds, 2)) s, trainer CPU "
        + "\(QuantityText.fixed(report.trainerCPUSeconds, 2)) s",
      "under this job's key the trainer saw \(QuantityText.count(report.rowsSeen)) rows in \(report.epochs) epochs, masked",
    ]
    if let privacy = report.privacy { lines += privacy.lines }
    lines.append("model: \(model)")
    return lines.joined(separator: "\n")
  }
}

/// One line an epoch: validation loss and metrics, the kept epoch marked.
struct EvaluationTable {
  let lines: [String]

  init(_ records: [ProgressRecord], keptEpoch: Int? = nil) {
    var names: [String] = []
    var rows: [[String]] = []
    for case .evaluation(let epoch, _, let loss, let metrics, _, let seconds) in records {
      names = metrics.keys.sorted()
      rows.append(
        [keptEpoch == epoch ? "\(epoch + 1) *" : "\(epoch + 1)", QuantityText.fixed(loss, 4)]
          + names.map { QuantityText.fixed(metrics[$0] ?? .nan, 4) } + [QuantityText.fixed(seconds, 2)])
    }
    lines =
      rows.isEmpty
      ? [] : TextTable(header: ["epoch", "loss"] + names + ["seconds"], rows: rows, numeric: true).lines
  }
}

/// Columns padded to their widest cell; all but the first aligned right when `numeric`.
struct TextTable {
  var header: [String]
  var rows: [[String]]
  var numeric = false

  var lines: [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        text += column == 0 || !numeric ? cell + padding : padding + cell
        if column < cells.count - 1 { text += "  " }
      }
      while text.last == " " { text.removeLast() }
      return text
    }
    return [line(header), widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")] + rows.map(line)
  }
}

/// Stable JSON for `--json`: sorted keys, indented.
enum JSONText {
  static func of(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
