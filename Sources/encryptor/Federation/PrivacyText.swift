import Foundation
import Foundations
import JobSpec
import OwnerRole
import Privacy
import SiteRole

/// What people read of a federation's differential privacy.
enum PrivacyText {
  /// For `encryptor charter`: what the charter's ε comes to, what it is about, and what is left out for it.
  ///
  /// - Parameter entries: of the model's trained parameters; nil where they follow from the sites' files.
  static func lines(_ charter: Charter, _ target: PrivacyTarget, entries: Int?) throws -> [String] {
    var lines = [
      "unit \(target.unit.rawValue): ε \(target.epsilon) at δ \(target.delta), "
        + (target.unit == .site ? "updates" : "records' gradients") + " clipped to norm \(target.clipNorm)"
    ]
    switch target.unit {
    case .site:
      if let plan = try PrivacyPlan(charter, trainingRows: 0) {
        lines += try siteLines(charter, plan, entries: entries)
      }
      lines += [target.deltaNotice(charter.sites.count, "sites")].compactMap { $0.map { "warning: \($0)" } }
    case .record: lines += try recordLines(charter, target)
    }
    lines.append("not sent, since it would have no noise: \(PrivacyScope.notSent)")
    lines += PrivacyScope.covers(target).map { "covers \($0)" }
    lines += PrivacyScope.doesNotCover(target).map { "does not cover \($0)" }
    return lines + ["the federation's ε is the largest of its sites', if no person is at two sites"]
  }

  private static func siteLines(_ charter: Charter, _ plan: PrivacyPlan, entries: Int?) throws -> [String] {
    let minimum = charter.federation.participation.minimum
    var lines = [
      "noise multiplier \(digits(plan.mechanism.noiseMultiplier)) over \(charter.federation.rounds) rounds, every site counted in each",
      "each site adds noise of deviation \(digits(try plan.ownDeviation)) to each entry, so that \(plan.noisySites) of at least \(minimum) "
        + "sites in a sum have \(digits(plan.mechanism.noiseMultiplier * plan.target.clipNorm)) together",
      "ε at the end: \(epsilon(try spent(plan)))",
    ]
    if let entries {
      try plan.checkUpdateClip(charter, entries: entries)
      let least = try plan.leastUpdateClip(entries: entries, sites: charter.sites.count)
      lines.append(
        "update_clip \(charter.federation.fixedPoint.updateClip) holds it: \(digits(least)) is needed for a chance below "
          + "\(QuantityText.scientific(PrivacyPlan.overflowChance)) that an entry does not fit")
    } else {
      lines.append(
        "whether update_clip holds it follows when sites join, since the number of outputs comes from their labels")
    }
    return lines
  }

  /// Each site finds its own noise from its number of rows N; some N for orientation.
  private static func recordLines(_ charter: Charter, _ target: PrivacyTarget) throws -> [String] {
    guard case .updates(let updates) = charter.federation.local else { return [] }
    let batch = charter.train.batch
    let rows = try [4, 16, 64].map { batch.multipliedReportingOverflow(by: $0).partialValue }.filter { $0 > batch }.map
    {
      rows in
      guard let plan = try PrivacyPlan(charter, trainingRows: rows) else { return [String]() }
      let spent = try spent(plan)
      return [
        QuantityText.count(rows), digits(plan.mechanism.sampleRate), digits(plan.mechanism.noiseMultiplier),
        QuantityText.fixed(spent.renyi.improved, 4), spent.privacyLoss.map { QuantityText.fixed($0.upper, 4) } ?? "–",
      ]
    }
    return [
      "each site with N training rows draws every row with probability \(batch)/N in each of \(charter.federation.rounds) × \(updates) steps, "
        + "and finds the noise for that; for example:"
    ]
      + TextTable(header: ["N", "q", "noise multiplier", "ε (RDP)", "ε (PRV)"], rows: rows, numeric: true).lines
      + [
        "a site with fewer than \(batch) training rows cannot take part; one with \(QuantityText.count(rowsWithWarning(target))) or more is warned "
          + "that δ is not below one over their number"
      ]
  }

  /// The least number of rows that `deltaNotice` has something to say of.
  private static func rowsWithWarning(_ target: PrivacyTarget) -> Int {
    Int(exactly: (1 / target.delta).rounded(.up)) ?? .max
  }

  /// What a site that joins is warned of; nil for nothing.
  static func warning(_ plan: PrivacyPlan, sites: Int, rows: Int) -> String? {
    let notice =
      switch plan.target.unit {
      case .site: plan.target.deltaNotice(sites, "sites")
      case .record: plan.target.deltaNotice(rows, "training rows")
      }
    return notice.map { "warning: privacy: \($0)" }
  }

  /// One line for a site that joins.
  static func line(_ plan: PrivacyPlan) throws -> String {
    "privacy of each \(plan.target.unit.rawValue): ε \(plan.target.epsilon) at δ \(plan.target.delta) at the end; noise multiplier "
      + "\(digits(plan.mechanism.noiseMultiplier)), \(QuantityText.count(plan.mechanism.steps)) steps at rate "
      + "\(digits(plan.mechanism.sampleRate)); not sent: \(PrivacyScope.notSent)"
  }

  /// At the end.
  static func spent(_ report: PrivacyReport) -> String {
    "privacy spent: ε \(QuantityText.fixed(report.epsilon, 4)) at δ \(report.delta) of \(report.targetEpsilon) (RDP "
      + "\(QuantityText.fixed(report.epsilonRenyi, 4)), PRV "
      + "\(report.epsilonPrivacyLoss.map { QuantityText.fixed($0, 4) } ?? "–")), \(QuantityText.count(report.steps)) steps; privacy.json says what it covers"
  }

  private static func spent(_ plan: PrivacyPlan) throws -> PrivacySpent {
    try PrivacySpending.spent([plan.mechanism], delta: plan.target.delta)
  }

  private static func epsilon(_ spent: PrivacySpent) -> String {
    "RDP \(QuantityText.fixed(spent.renyi.improved, 4)), PRV "
      + (spent.privacyLoss.map { QuantityText.fixed($0.upper, 4) }
        ?? "none (\(spent.privacyLossProblem?.description ?? ""))")
      + "; the smaller one counts"
  }

  private static func digits(_ value: Double) -> String { String(format: "%.4g", value) }
}
