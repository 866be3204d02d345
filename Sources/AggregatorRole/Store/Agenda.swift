import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Models
import SecureSums

/// Where a federation stands, beside the sum that is under way: what has been done of the charter's sums, the models it led to, and who has
/// the result. Written as a whole after each step (`agenda.json`), with hashes of the files beside it that nobody could make again.
struct Agenda: Codable, Equatable, Sendable {
  /// Version 1 had no hashes but those of models, and no group keys.
  static let currentVersion = 2

  var version = currentVersion
  /// What all sites must say of themselves, and who has said it.
  var introduction: SiteIntroduction?
  var introducedBy: [Int] = []
  /// Sums that are done: that many records stand.
  var done = 0
  /// SHA-256 of each model, in hexadecimal, by the rounds it has had.
  var models: [String] = []
  /// Score of each model, as far as a sum has told it: the first metric of the task over all validation rows.
  var scores: [Double?] = []
  /// The rounds that the federation ends after, where no better score ended it early.
  var lastRound: Int?
  var result: FederationResult?
  /// What each site has said of its group key, by its place: `SiteIntroduction.groupCheck`; nil before any has.
  var groupChecks: [String: String]?
  /// Of the key that the starting model was made with; nil before that, and where that site said nothing of it.
  var groupCheck: String?
  /// Sites that hold the result.
  var fetched: [Int] = []
  /// XXH64, in hexadecimal, of files by their names: of each pooled sum, and of what the server's rule remembers now.
  var checks: [String: String]?
  /// XXH64 of the records that stand, chained (`chained`); nil before the first.
  var records: String?

  /// All sums from the first to the last, with what is known of the end.
  func purposes(of plan: FederationPlan) -> [SumPurpose] {
    plan.purposes(rounds: lastRound ?? plan.charter.federation.rounds)
  }

  /// Nil when all are done.
  func nextPurpose(of plan: FederationPlan) -> SumPurpose? {
    let purposes = purposes(of: plan)
    return purposes.indices.contains(done) ? purposes[done] : nil
  }

  /// Whether it can be what an aggregator of this charter has written, whatever is in the file.
  func fits(_ plan: FederationPlan) -> Bool {
    let rounds = plan.charter.federation.rounds
    guard (1...Self.currentVersion).contains(version), lastRound.map({ (1...rounds).contains($0) }) != false,
      scores.count <= models.count, (fetched + introducedBy).allSatisfy(plan.charter.sites.indices.contains),
      introduction.map({ plan.allows($0) }) ?? (done == 0 && models.isEmpty)
    else { return false }
    let purposes = purposes(of: plan)
    guard (0...purposes.count).contains(done), done == purposes.count || result == nil else { return false }
    let updates = purposes.prefix(done).count { if case .update = $0 { true } else { false } }
    return (models.isEmpty && updates == 0 || models.count == updates + 1)
      && models.allSatisfy { [UInt8](hexadecimal: $0)?.count == 32 }
      && (result.map { models.indices.contains($0.rounds) && models[$0.rounds] == $0.model } ?? true)
  }

  /// XXH64 of the hash of the records before and a record's line.
  static func chained(_ before: String?, _ line: String) -> String {
    var hash = ContentHash()
    hash.update(before ?? "")
    hash.update(line)
    return hash.value().hexadecimal
  }

  // MARK: - Scores

  mutating func note(score: Double?, ofModel rounds: Int) {
    while scores.count <= rounds { scores.append(nil) }
    scores[rounds] = score
  }

  /// The rounds that the model with the best score has had; the earlier of two as good. Nil where no score is known.
  func best(of task: LearningTask) -> (rounds: Int, score: Double)? {
    guard let metric = SiteStatistics.metricNames(task).first else { return nil }
    let isError = SiteStatistics.isError(metric)
    var best: (rounds: Int, score: Double)?
    for case (let rounds, let score?) in scores.enumerated() {
      if let known = best, isError ? score >= known.score : score <= known.score { continue }
      best = (rounds, score)
    }
    return best
  }

  /// After the scores of model `round` came with its update: whether the federation is to end, because so many rounds brought no better one.
  func isStalled(after round: Int, in plan: FederationPlan) -> Bool {
    guard let patience = plan.charter.federation.stopPatience, let best = best(of: plan.charter.task) else {
      return false
    }
    return round - best.rounds >= patience
  }

  /// The result once the last sum is done: which model, and why.
  func outcome(of plan: FederationPlan) -> FederationResult {
    let all = plan.charter.federation.rounds
    let rounds = lastRound ?? all
    let end =
      rounds < all
      ? "no better score for \(plan.charter.federation.stopPatience ?? 0) rounds: stopped after \(rounds) of \(all)"
      : "all \(all) rounds are done"
    guard plan.charter.train.keep == .best else {
      return FederationResult(rounds: rounds, model: models[rounds], reason: "\(end); the last model is the result")
    }
    let metric = SiteStatistics.metricNames(plan.charter.task).first ?? "score"
    guard let best = best(of: plan.charter.task) else {
      return FederationResult(
        rounds: rounds, model: models[rounds],
        reason: "\(end); no site has rows that \(metric) can be computed on, so the last model is the result")
    }
    return FederationResult(
      rounds: best.rounds, model: models[best.rounds],
      reason: "\(end); the model after \(best.rounds) has the best \(metric), \(QuantityText.fixed(best.score, 4))")
  }
}

extension FederationPlan {
  /// Whether the sums of a model of these sizes can be laid out.
  func allows(_ introduction: SiteIntroduction) -> Bool {
    introduction.entries >= 1 && (0...SumLimits.entries).contains(introduction.columns)
      && (try? check(introduction)) != nil
  }

  /// - Throws: `FixedPointError` for sizes that no sum can have.
  func check(_ introduction: SiteIntroduction) throws {
    // What a round's vector holds does not depend on the round.
    for purpose in purposes(rounds: 1) {
      _ = try format(of: purpose, entries: introduction.entries, columns: introduction.columns)
    }
  }
}
