package import Federation
import Foundation
import Foundations
import JobSpec
import Numerics
import OwnerRole
import Training

/// What a finished federation was for one site: `summary.json`.
package struct SiteReport: Codable, Sendable, Equatable {
  package enum CodingKeys: String, CodingKey {
    case federation, site, rounds, reason, pooled, federated, local, seconds
    case model = "model_sha256"
    case ownRows = "own_validation_rows"
  }

  package let federation: String
  package let site: String
  /// Rounds that the model which is the result has had, and why the federation ended.
  package let rounds: Int
  package let reason: String
  /// SHA-256 of the masked model, as the aggregator names it.
  package let model: String
  /// Means over all sites of the result's scores, as `history.jsonl` has them; empty where no sum is about that model.
  package let pooled: [String: Double]
  /// Of the result on this site's own validation rows.
  package let federated: [String: Double]
  /// Of a model trained on this site's rows alone, for as many steps, on the same validation rows; nil unless asked for.
  package let local: [String: Double]?
  package let ownRows: Int
  package let seconds: Double
}

extension SiteWork {
  /// Scores the result on the site's own rows, beside a model trained on them alone where the site file asks for it, and writes `summary.json`.
  ///
  /// A provider that is away by now, for longer than the site waits, leaves the scores on the site's own rows out: the model is here without it.
  ///
  /// - Parameters:
  ///   - progress: local steps of the other model, done and in all.
  /// - Throws: as local training.
  package func report(
    _ result: FederationResult, records: [SumRecord], seconds: Double, to directory: SiteDirectory,
    progress: (Int, Int) throws -> Void
  ) throws -> SiteReport {
    let purposes: [SumPurpose] = [.update(round: result.rounds), .evaluation(rounds: result.rounds)]
    let pooled = records.last { record in purposes.contains { $0.description == record.purpose } }?.means ?? [:]
    var own: (federated: LocalTraining<Float>.Score?, local: LocalTraining<Float>.Score?)
    do {
      own = try ownScores(directory, progress: progress)
    } catch SiteError.providerGone(let reason) {
      provider?.warn("\(reason); summary.json has no scores on this site's own rows. The model is complete")
    }
    let report = SiteReport(
      federation: plan.charter.name, site: data.specification.name, rounds: result.rounds, reason: result.reason,
      model: result.model, pooled: pooled, federated: own.federated?.values ?? [:],
      local: data.specification.localBaseline ? own.local?.values ?? [:] : nil, ownRows: own.federated?.rows ?? 0,
      seconds: seconds)
    try RunFile.write(report, to: directory.run.summary)
    if let privacy { try RunFile.write(try privacy.report(), to: directory.privacyReport) }
    return report
  }

  /// Scores of the result, and where the site file asks for it of a model of the site's own rows alone.
  private func ownScores(
    _ directory: SiteDirectory, progress: (Int, Int) throws -> Void
  ) throws -> (federated: LocalTraining<Float>.Score?, local: LocalTraining<Float>.Score?) {
    let training = try localTraining()
    let weights = try ModelDirectory(directory.run.model).weights(data.prepared.shape)
    let score = try training.evaluate(try model.specifications.map { try weights.tensor($0) }, progress: {})
    let local = data.specification.localBaseline ? try baseline(training, progress: progress) : nil
    try training.end()
    return (score, local)
  }

  /// The site's own rows alone: the same starting weights, local optimizer and number of steps, and no other site.
  private func baseline(
    _ training: any LocalUpdates<Float>, progress: (Int, Int) throws -> Void
  ) throws -> LocalTraining<Float>.Score? {
    var weights = try ownStart()
    let rounds = plan.charter.federation.rounds
    let steps = training.stepsPerRound
    for round in 0..<rounds {
      weights = try training.train(round: round, from: weights, correction: nil, noise: nil) { done, _ in
        try progress(round * steps + done, rounds * steps)
      }.weights
    }
    return try training.evaluate(weights, progress: {})
  }
}

extension LocalTraining.Score {
  /// `loss` and every metric that has a value.
  var values: [String: Double] {
    metrics.valuesByName.merging(["loss": lossSum / Double(max(1, observed))]) { metric, _ in metric }
  }
}
