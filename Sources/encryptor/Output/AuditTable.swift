import LeakAudit

/// What `audit` shows.
struct AuditTable {
  let report: AuditReport
  let page: String

  var text: String {
    let table = TextTable(
      header: ["attack", "metric", "masked (95 %)", "unmasked", "chance", "seconds"],
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
        let cut = result.masked?.isCutShort == true ? "Cut short: with more --minutes it may find more." : nil
        lines.append(
          ([result.title + ": " + (result.meaning ?? "")] + [cut, result.caution].compactMap { $0 })
            .joined(separator: " "))
        lines += advice(result)
      case .inapplicable: lines.append("\(result.title) does not apply: \(result.reason ?? "").")
      case .notMeasured: lines.append("\(result.title) was not measured: \(result.reason ?? "").")
      case .outOfTime: lines.append("\(result.title): no time was left; give the audit more with --minutes.")
      }
    }
    if let cost = report.noiseCostText { lines.append("cost of the noise: \(cost)") }
    if report.isViewCutShort {
      lines.append(
        "The observed run was cut short after \(report.rowsSeen) rows: every attack had fewer than it should have; give the audit more "
          + "--minutes.")
    }
    return (lines + ["", "report: \(page)"]).joined(separator: "\n")
  }

  /// What would lower it, as the command line says it; in words where nothing in a job does. The page has the reasons.
  private func advice(_ result: AttackResult) -> [String] {
    guard let advice = result.advice else { return [] }
    let changes = result.changes.map { "--set \($0)" }.joined(separator: " ")
    return ["  What would lower it: \(changes.isEmpty ? advice : changes)"]
  }

  private func cell(_ result: AttackResult, _ measurement: Measurement?) -> String {
    switch result.status {
    case .measured: ReportNumber.text(measurement)
    case .inapplicable: "–"
    case .notMeasured: "not measured"
    case .outOfTime: "no time"
    }
  }
}
