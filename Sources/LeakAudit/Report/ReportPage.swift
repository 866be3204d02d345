import Models
import Foundation

/// A report as one HTML page that needs nothing else: no script, no style or picture from elsewhere.
package struct ReportPage {
  private let report: AuditReport

  package init(_ report: AuditReport) {
    self.report = report
  }

  package var html: String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8">
    <title>Leakage audit of \(text(report.job.name))</title>
    <style>\(Self.style)</style></head><body>
    <h1>What could the \(report.deployment == nil ? "provider" : "host") learn from \(report.deployment == nil ? "" : "questions to ")\
    “\(text(report.job.name))”?</h1>
    <section class="limits">\(report.outOfScope.map { "<p>\(text($0))</p>" }.joined(separator: "\n"))</section>
    \(summary)
    \(overview)
    \(report.attacks.map(section).joined(separator: "\n"))
    </body></html>

    """
  }

  private var summary: String {
    let job = report.job
    var lines = [
      (
        "job",
        "\(job.name): \(job.task.rawValue), \(job.rows) rows, \(job.features) wide"
          + (report.deployment == nil ? ", \(job.epochs) epochs" : "")
      ),
      ("masking", Self.masking(job)),
      ("loss", report.deployment == nil ? "at the \(job.lossLocation.rawValue)" : "none: the model is only asked"),
      (
        "seen by the attacks",
        "\(report.rowsSeen) masked rows\(report.isViewCutShort ? ", cut short: the observed run’s time was up" : ""); "
          + "\(report.publicRows) rows assumed public where an attack says so"
      ),
      ("made", "\(report.created) by \(report.program), in \(ReportNumber.text(report.seconds)) s"),
      (
        "digests",
        "job \(report.jobDigest.prefix(16)), data \(report.dataDigest.prefix(16))"
          + (report.checkpointDigest.map { ", checkpoint \($0.prefix(16))" } ?? "")
      ),
    ]
    if let deployment = report.deployment {
      lines.insert(
        (
          "deployment",
          "\(deployment.id): clients \(deployment.clients), keys \(deployment.keys)"
            + (deployment.usesThrowAwayKey
              ? "; the other copy was made under a throw-away key, as a rotation would" : "")
        ), at: 1)
    }
    if let cost = report.noiseCostText { lines.append(("cost of the noise", cost)) }
    return "<table class=\"facts\">\(lines.map { "<tr><th>\($0.0)</th><td>\(text($0.1))</td></tr>" }.joined())</table>"
  }

  private static func masking(_ job: JobTraits) -> String {
    var parts = ["strength \(job.strength.rawValue)"]
    if let sigma = job.noise { parts.append("noise \(sigma)") }
    if let width = job.adapterWidth { parts.append("adapter \(width)") }
    if job.readsTokens { parts.append(job.shufflesTokens ? "secret order of tokens" : "tokens in their order") }
    if let base = job.baseModel { parts.append("base model \(base.rawValue)") }
    return parts.joined(separator: ", ")
  }

  private var overview: String {
    let rows = report.attacks.map { result in
      """
      <tr><td><a href="#\(result.attack.rawValue)">\(text(result.title))</a></td><td>\(text(result.metric))</td>\
      <td>\(Self.outcome(result))</td>\
      <td>\(result.status == .measured ? ReportNumber.text(result.unmasked) : "")</td>\
      <td>\(ReportNumber.text(result.masked?.chance))</td></tr>
      """
    }
    return """
      <table><tr><th>attack</th><th>metric</th><th>masked (95 %)</th><th>unmasked</th><th>chance</th></tr>
      \(rows.joined(separator: "\n"))</table>
      """
  }

  private static func outcome(_ result: AttackResult) -> String {
    switch result.status {
    case .measured: ReportNumber.text(result.masked)
    case .outOfTime: "no time left"
    case .notMeasured: "not measured"
    case .inapplicable: "does not apply"
    }
  }

  private func section(_ result: AttackResult) -> String {
    var parts = [
      "<section id=\"\(result.attack.rawValue)\"><h2>\(text(result.title))</h2>",
      "<p>Assumed to know: \(text(result.knowledge)).</p>",
    ]
    switch result.status {
    case .inapplicable: parts.append("<p>Does not apply: \(text(result.reason ?? "")).</p>")
    case .notMeasured: parts.append("<p class=\"caution\">Not measured: \(text(result.reason ?? "")).</p>")
    case .outOfTime: parts.append("<p>The audit’s time was up; give it more with <code>--minutes</code>.</p>")
    case .measured: parts += measured(result)
    }
    parts.append("<p class=\"source\">\(text(result.source))</p></section>")
    return parts.joined(separator: "\n")
  }

  private func measured(_ result: AttackResult) -> [String] {
    var parts = [
      "<p class=\"meaning\">\(text(result.meaning ?? ""))</p>",
      "<table><tr><th></th><th>masked</th><th>unmasked</th></tr>",
      row(result.metric, ReportNumber.text(result.masked), ReportNumber.text(result.unmasked)),
    ]
    if result.masked?.isCutShort == true {
      parts.insert("<p class=\"caution\">Cut short: with more <code>--minutes</code> it may find more.</p>", at: 1)
    }
    if let caution = result.caution { parts.insert("<p class=\"caution\">\(text(caution))</p>", at: 1) }
    for detail in result.masked?.details ?? [] {
      let control = result.unmasked?.details.first { $0.name == detail.name }?.value
      parts.append(row(detail.name, ReportNumber.text(detail.value), ReportNumber.text(control)))
    }
    parts.append(row("chance", ReportNumber.text(result.masked?.chance), ReportNumber.text(result.unmasked?.chance)))
    parts.append(
      row("worked on", result.masked.map { "\($0.rows)" } ?? "", result.unmasked.map { "\($0.rows)" } ?? "")
        + "</table>")
    if let curve = result.masked?.curve { parts.append(CurvePlot(masked: curve, unmasked: result.unmasked?.curve).svg) }
    if let advice = result.advice { parts.append("<p>What would lower it: \(text(advice))</p>") }
    if !result.changes.isEmpty {
      parts.append("<pre>\(result.changes.map { "--set \(text($0))" }.joined(separator: "\n"))</pre>")
    }
    parts.append("<p class=\"source\">\(ReportNumber.text(result.seconds)) s</p>")
    return parts
  }

  private func row(_ name: String, _ masked: String, _ unmasked: String) -> String {
    "<tr><td>\(text(name))</td><td>\(masked)</td><td>\(unmasked)</td></tr>"
  }

  private func text(_ text: String) -> String { PageText.escaped(text) }

  private static let style = """
    body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
    h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
    .limits{border-left:4px solid #b54708;padding:.2rem 1rem;background:#fff7ed}
    table{border-collapse:collapse;margin:1rem 0}th,td{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left;vertical-align:top}
    .facts th{font-weight:600;width:12rem}.meaning{font-weight:600}.caution{color:#9a3412}.source,.legend{color:#57606a;font-size:.85rem}
    pre{background:#f6f8fa;padding:.6rem}svg{max-width:30rem;display:block}svg text{font-size:10px;fill:#57606a}
    .grid{stroke:#e3e7eb}polyline{fill:none;stroke-width:2}polyline.masked{stroke:#b54708}polyline.unmasked{stroke:#0b69c7;stroke-dasharray:4 3}
    span.masked{color:#b54708}span.unmasked{color:#0b69c7}
    """
}

/// A curve under masking and the same without, as an SVG drawing.
struct CurvePlot {
  private static let width = 460.0
  private static let height = 240.0
  private static let left = 56.0
  private static let right = 12.0
  private static let top = 12.0
  private static let bottom = 44.0

  let masked: Curve
  let unmasked: Curve?

  var svg: String {
    let all = masked.points + (unmasked?.points ?? [])
    guard all.count > 1 else { return "" }
    let xs = all.map { place($0.x) }
    let (low, high) = (xs.min() ?? 0, max(xs.max() ?? 1, (xs.min() ?? 0) + 1e-9))
    let ceiling = max(1, all.map(\.y).filter(\.isFinite).max() ?? 1)
    func x(_ value: Double) -> Double {
      Self.left + (place(value) - low) / (high - low) * (Self.width - Self.left - Self.right)
    }
    func y(_ value: Double) -> Double {
      Self.height - Self.bottom - min(1, max(0, value / ceiling)) * (Self.height - Self.top - Self.bottom)
    }
    var marks = ""
    for share in [0, 0.25, 0.5, 0.75, 1.0] {
      let level = share * ceiling
      marks +=
        "<line class=\"grid\" x1=\"\(n(Self.left))\" x2=\"\(n(Self.width - Self.right))\" y1=\"\(n(y(level)))\" y2=\"\(n(y(level)))\"/>"
        + "<text x=\"\(n(Self.left - 6))\" y=\"\(n(y(level) + 4))\" text-anchor=\"end\">\(ReportNumber.text(level))</text>"
    }
    // Points that were tried to narrow a value down lie close together: their labels would run into each other.
    var labelled = -Double.infinity
    for point in masked.points where x(point.x) - labelled >= 30 {
      labelled = x(point.x)
      marks +=
        "<text x=\"\(n(x(point.x)))\" y=\"\(n(Self.height - Self.bottom + 16))\" text-anchor=\"middle\">\(ReportNumber.text(point.x))</text>"
    }
    func line(_ curve: Curve, _ style: String) -> String {
      let places = curve.points.filter(\.y.isFinite).map { "\(n(x($0.x))),\(n(y($0.y)))" }.joined(separator: " ")
      return "<polyline class=\"\(style)\" points=\"\(places)\"/>"
    }
    return """
      <svg viewBox="0 0 \(n(Self.width)) \(n(Self.height))" role="img">
      \(marks)
      \(unmasked.map { line($0, "unmasked") } ?? "")
      \(line(masked, "masked"))
      <text x="\(n((Self.left + Self.width) / 2))" y="\(n(Self.height - 8))" text-anchor="middle">\(PageText.escaped(masked.horizontal))</text>
      </svg>
      <p class="legend">\(PageText.escaped(masked.vertical)): <span class="masked">masked</span>, \
      <span class="unmasked">unmasked</span></p>
      """
  }

  private func place(_ value: Double) -> Double {
    masked.isLogarithmic ? log(max(value, 1e-12)) : value
  }

  private func n(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// Text within a page: what comes from a job or a file never becomes markup.
enum PageText {
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.append(character)
      }
    }
    return result
  }
}
