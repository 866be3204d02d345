import Attacks
import Exposure

/// What `audit` shows.
struct AuditTable {
  let report: AuditReport
  let page: String

  var text: String {
    let table = TextTable(
      header: ["attack", "metric", "masked", "unmasked", "chance", "seconds"],
      rows: report.attacks.map { result in
        [
          result.title, result.metric, cell(result, result.masked), cell(result, result.unmasked),
          result.status == .measured ? ReportNumber.text(result.masked?.chance) : "",
          NumberText.fixed(result.seconds, 1),
        ]
      })
    var lines = report.outOfScope + [""] + table.lines + [""]
    for result in report.attacks {
      switch result.status {
      case .measured:
        lines.append(
          ([result.title + ": " + (result.meaning ?? "")] + [result.caution].compactMap { $0 }).joined(separator: " "))
      case .inapplicable: lines.append("\(result.title) does not apply: \(result.reason ?? "").")
      case .outOfTime: lines.append("\(result.title): no time was left; give the audit more with --minutes.")
      }
    }
    if let cost = report.noiseCost {
      lines.append(
        "cost of the noise: \(cost.metric) \(ReportNumber.text(cost.withNoise)) with it, \(ReportNumber.text(cost.withoutNoise)) without"
      )
    }
    return (lines + ["", "report: \(page)"]).joined(separator: "\n")
  }

  private func cell(_ result: AttackResult, _ measurement: Measurement?) -> String {
    switch result.status {
    case .measured: measurement.map { $0.value == nil ? "not reached" : ReportNumber.text($0.value) } ?? "–"
    case .inapplicable: "–"
    case .outOfTime: "no time"
    }
  }
}
