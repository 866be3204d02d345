import Federation
import Foundations
import Foundation
import JobSpec
import Models
import OwnerRole
import SiteRole

/// A site's progress on standard error: a bar with round, local step and the last scores on a terminal; lines otherwise.
///
/// Used from the thread that runs the site.
final class SiteProgress {
  private let plan: FederationPlan
  /// Put before every line; empty for one site a terminal.
  private let prefix: String
  private let clock = ContinuousClock()
  private let isTerminal: Bool
  private var lastShown: ContinuousClock.Instant
  private var what = ""
  private var scores = ""
  private var spent = ""

  /// - Parameter site: its name where several share a terminal; nil for one alone.
  init(_ plan: FederationPlan, site: String?) {
    self.plan = plan
    prefix = site.map { "\($0): " } ?? ""
    isTerminal = StandardError.isTerminal && site == nil
    lastShown = clock.now
  }

  func show(_ event: SiteEvent) {
    switch event {
    case .waiting(let reason): line("\(reason); waiting for it")
    case .connected(let software): line("connected to \(software.printable(limit: 80))")
    case .lost(let reason): line("aggregator lost: \(reason); everything is saved here, waiting for it")
    case .obstacle(let reason): line("the aggregator says: \(reason)")
    case .idle(let time, let sent, let awaited): line(idleText(time, sent, awaited))
    case .planning(let done, let total): advance("drawing the batches", done, total)
    case .began(let purpose): what = text(purpose)
    case .advanced(let done, let total): advance("\(what)  local step", done, total)
    case .sent: break
    case .spent(let privacy):
      spent = "  ε \(QuantityText.fixed(privacy.epsilon, 3)) of \(privacy.target)"
    case .scored(let score): scores = Self.text(score.values)
    case .leftOut(let reason): line("not in this sum: \(reason.printable(limit: 500))")
    case .recorded(let record): show(record)
    case .differing(let site, let purposes):
      line(
        "note: \(purposes.joined(separator: " and ").printable(limit: 100)) differ by the site \(site.printable(limit: 64)) alone: the "
          + "difference of these two sums tells about that site, to the aggregator and to every site, since all hold them"
      )
    case .result(let result): line("done: \(result.reason.printable(limit: 500))")
    }
  }

  /// What a site that trains at a provider has to wait for.
  func showProvider(_ event: RunEvent) {
    switch event {
    case .waitingForTrainer(let reason): line("\(reason); waiting for it, and away from the federation meanwhile")
    case .trainerLost(let reason):
      line("provider lost: \(reason); waiting for it, and away from the federation meanwhile")
    case .trainerBack: line("the provider is there")
    case .warning(let text): line("warning: \(text)")
    case .queued(let position): line("waiting in the provider's queue, place \(position)")
    case .turnEnded: line("the provider lets another job have its turn; waiting for the next")
    default: break
    }
  }

  func line(_ text: String) {
    StandardError.write((isTerminal ? "\r\u{1B}[K" : "") + prefix + text + "\n")
  }

  func end() {
    if isTerminal { StandardError.write("\r\u{1B}[K") }
  }

  /// - Parameter awaited: nil where the aggregator has not said whom it waits for.
  private func idleText(_ time: Duration, _ sent: SumPurpose?, _ awaited: AwaitedSites?) -> String {
    let charter = plan.charter
    let participation = charter.federation.participation
    let others = charter.sites.count - 1
    let what =
      sent.map { "this site's part of \(text($0)) is done, and nothing more is asked of it" }
      ?? "this site has joined, and nothing is asked of it yet"
    let whom =
      awaited?.text { charter.sites[$0].name }
      ?? "the \(others == 1 ? "other site" : "other \(others) sites") of the charter"
    return
      "\(what): \(QuantityText.duration(time / .seconds(1))) of waiting for \(whom); "
      + "a sum needs \(participation.minimum) sites and goes on without one that has been away for \(QuantityText.duration(participation.patience))"
      + (awaited == nil ? ". Who is missing stands in the aggregator's status and log" : "")
  }

  private func text(_ purpose: SumPurpose) -> String {
    switch purpose {
    case .update(let round): "round \(round + 1)/\(plan.charter.federation.rounds)"
    case .means, .deviations: "standardisation"
    case .classCounts: "class counts"
    case .evaluation: "last evaluation"
    }
  }

  private func advance(_ subject: String, _ done: Int, _ total: Int) {
    let now = clock.now
    guard lastShown.duration(to: now) >= (isTerminal ? .milliseconds(100) : .seconds(10)) else { return }
    lastShown = now
    let text = "\(subject) \(done)/\(total)\(scores)\(spent)"
    if isTerminal { StandardError.replaceLine(text) } else { line(text) }
  }

  private func show(_ record: SumRecord) {
    guard let purpose = SumPurpose(record.purpose.printable(limit: 80)) else { return }
    // Under privacy a record has none, and those of this site's own rows stay.
    if !record.means.isEmpty { scores = Self.text(record.means) }
    let missing = Set(record.cohort).subtracting(record.survivors).sorted().map { $0.printable(limit: 64) }
    line(
      "\(text(purpose)) done  \(record.survivors.count) of \(record.cohort.count) sites\(scores)\(spent)"
        + (missing.isEmpty ? "" : "  without \(missing.joined(separator: ", "))"))
  }
}

extension SiteProgress {
  fileprivate static func text(_ scores: [String: Double]) -> String {
    scores.sorted { $0.key < $1.key }.map { "  \($0.key.printable(limit: 40)) \(QuantityText.fixed($0.value, 4))" }
      .joined()
  }
}

/// What a finished federation shows: scores a round, and the site's own rows.
struct FederationSummary {
  let records: [SumRecord]
  let report: SiteReport
  /// Of a private run, whose sums have none: those of the site's own rows.
  let scores: [OwnScore]
  let model: String

  var text: String {
    let scored = records.filter { SumPurpose($0.purpose)?.model != nil }
    let ownScores = Dictionary(scores.map { ($0.rounds, $0.values) }) { first, _ in first }
    let values = scored.map { record -> [String: Double] in
      record.means.isEmpty ? ownScores[SumPurpose(record.purpose)?.model ?? 0] ?? [:] : record.means
    }
    let loss = scores.isEmpty ? "validation_loss" : "loss"
    let names = Set(values.flatMap(\.keys)).subtracting(["loss", "validation_loss"]).sorted()
    let rows = zip(scored, values).map { record, values -> [String] in
      let rounds = SumPurpose(record.purpose)?.model ?? 0
      let cells: [String] = ([loss] + names).map { name in values[name].map { QuantityText.fixed($0, 4) } ?? "–" }
      let first = "\(rounds)\(rounds == report.rounds ? " *" : "")"
      return [first, "\(record.survivors.count)"] + cells + [QuantityText.fixed(record.seconds, 1)]
    }
    var lines =
      TextTable(
        header: ["rounds", "sites", "validation loss"] + names + ["seconds"], rows: rows, numeric: true
      ).lines
    lines.append(
      scores.isEmpty
        ? "* the model that is kept; scores are means over the sites, weighted by their validation rows"
        : "scores of the model that each round began with, on this site's own validation rows: without noise, and sent to nobody"
    )
    lines += ["", "on this site's own \(QuantityText.count(report.ownRows)) validation rows"]
    let own = report.federated.keys.sorted()
    lines +=
      TextTable(
        header: ["model"] + own,
        rows: [("federated", report.federated), ("this site alone", report.local ?? [:])].filter { !$0.1.isEmpty }.map {
          name, values in
          [name] + own.map { key in values[key].map { QuantityText.fixed($0, 4) } ?? "–" }
        }, numeric: true
      ).lines
    return (lines + ["", "model: \(model)"]).joined(separator: "\n")
  }
}
