import AggregatorRole
import Federation
import Foundation
import JobSpec
import SecureSums
import Synchronization
import Testing
import TestSupport

/// Whole federations in which nothing goes wrong.
@Suite(.waiting, .timeLimit(.minutes(3))) struct StrategyTests {
  static let strategies = [
    "{name: fedavg, weighting: rows}", "{name: fedavg, server_lr: 0.5, weighting: equal}",
    "{name: fedavgm, momentum: 0.8}", "{name: fedprox, mu: 0.1}", "{name: fedadagrad, server_lr: 0.2}",
    "{name: fedadam, server_lr: 0.1, betas: [0.8, 0.95]}", "{name: fedyogi, server_lr: 0.1, tau: 1.0e-2}",
    "{name: scaffold}",
  ]

  @Test(arguments: strategies)
  func everyStrategysModelIsThatOfPlainSumsToTheBit(_ strategy: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 3, strategy: strategy))
    trial.startSites()
    let content = try trial.expectEnd()
    trial.expectNoTrace(content)
    #expect(content.records.map(\.purpose) == ["update 0", "update 1", "update 2", "evaluation 3"])
  }

  /// Without masks the same integers are added.
  @Test(arguments: ["{name: fedavg, weighting: rows}", "{name: scaffold}", "{name: fedyogi}"])
  func aPlainFederationHasTheSameBits(_ strategy: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 3, strategy: strategy, aggregation: "plain"))
    trial.startSites()
    trial.expectNoTrace(try trial.expectEnd())
  }

  /// The mean divides by how many sites are in the sum, which nobody needs to report.
  @Test(arguments: ["{name: fedadam, weighting: equal}", "{name: scaffold, weighting: equal}"])
  func underPrivacyUpdatesAreSummedAndNothingElse(_ strategy: String) throws {
    let trial = try FederationTrial(
      TestFederation(
        sites: 4, rounds: 3, strategy: strategy, fraction: 0.6,
        settings: ["privacy: {unit: record, clip_norm: 1, epsilon: 3, delta: 1.0e-5}"]))
    trial.startSites()
    let content = try trial.expectEnd()
    #expect(content.records.map(\.purpose) == ["update 0", "update 1", "update 2"])
    for record in content.records {
      #expect(record.weight == 3 && record.survivors.count == 3)
      #expect(record.means.isEmpty && record.trainingRows == 0 && record.validationRows == 0)
    }
    let blocks = try trial.federation.format(of: .update(round: 0)).blocks.map(\.name)
    #expect(blocks == (strategy.contains("scaffold") ? ["update", "control variates"] : ["update"]))
  }

  /// Its pieces end inside of both halves of the vector: of the model, and of the control variates.
  @Test(arguments: ["{name: scaffold}", "{name: fedadam}"])
  func modelsLargerThanAPieceAreTakenStepByStep(_ strategy: String) throws {
    let trial = try FederationTrial(TestFederation(entries: 140_001, strategy: strategy))
    trial.startSites(pieceEntries: 30_000)
    try trial.expectEnd()
  }

  @Test(arguments: ["secure", "plain"])
  func sumsThatSitesNeedReachThem(_ aggregation: String) throws {
    let trial = try FederationTrial(
      TestFederation(aggregation: aggregation, standardize: "pooled", settings: ["class_weights: balanced"]))
    trial.startSites()
    let content = try trial.expectEnd()
    #expect(content.records.map(\.purpose).prefix(3) == ["means", "deviations", "class counts"])
    let federation = trial.federation
    for purpose in [SumPurpose.means, .deviations, .classCounts] {
      let format = try federation.format(of: purpose)
      var sum = format.vector()
      for site in federation.siteKeys.indices {
        let vector = try federation.vector(of: site, for: purpose, model: [])
        for index in sum.indices { sum[index] &+= vector[index] }
      }
      let expected: [Double]
      if purpose == .classCounts {
        expected = try format.decodeIntegers(sum, block: "classes").map(Double.init)
      } else {
        expected = try format.decode(sum, block: "columns") + [Double(10 + 17 + 24)]
      }
      for site in trial.sites { #expect(site.outcome.withLock { $0.sums[purpose.description] } == expected) }
    }
  }

  @Test(arguments: [1, 2]) func keysAreSetUpAgainWhenTheyRunOut(_ most: Int) throws {
    let trial = try FederationTrial(TestFederation(rounds: 3), mostSumsOfSetUp: most)
    trial.startSites()
    trial.expectNoTrace(try trial.expectEnd())
    let setUps = trial.aggregator.events.compactMap { if case .settingUp(let sums) = $0 { sums } else { nil } }
    #expect(setUps == (most == 1 ? [1, 1, 1, 1] : [2, 2]))
  }

  @Test func aRoundAsksTheSitesOfItsSampleOnly() throws {
    let trial = try FederationTrial(TestFederation(sites: 4, rounds: 4, minimum: 2, fraction: 0.5))
    trial.startSites()
    let content = try trial.expectEnd()
    for round in 0..<4 {
      let cohort = trial.federation.plan.cohort(for: .update(round: round)).map { trial.allNames[$0] }
      #expect(cohort.count == 2)
      #expect(content.records[round].cohort == cohort)
      #expect(content.records[round].survivors == cohort)
    }
    #expect(content.records[4].cohort == trial.allNames)
  }

  /// Sums over the sites, and nothing of one of them.
  @Test func recordsHoldSumsOverTheSites() throws {
    let trial = try FederationTrial(TestFederation())
    trial.startSites()
    let content = try trial.expectEnd()
    let first = content.records[0]
    #expect(first.weight == 51)
    #expect(first.trainingRows == 51)
    #expect(first.validationRows == 12)
    #expect(first.means["loss"] == (0.5 + 1.5 + 2.5) / 51)
    #expect(first.means["accuracy"] == trial.federation.accuracy(of: 0))
    #expect(content.records.last?.means["accuracy"] == trial.federation.accuracy(of: 2))
  }

  /// Scores rise to the model after two rounds and fall from then on.
  @Test(arguments: ["best", "last"])
  func theFederationEndsEarlyAndKeepsTheModelThatTheCharterAsksFor(_ keep: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 9, keep: keep, settings: ["stop: {patience: 2}"]))
    trial.startSites()
    let content = try trial.expectEnd()
    // The scores of models 3 and 4 are no better than that of model 2; the update that told the last of them has made model 5.
    #expect(content.records.map(\.purpose) == (0..<5).map { "update \($0)" } + ["evaluation 5"])
    let result = trial.sites[0].outcome.withLock { $0.result }
    #expect(result?.rounds == (keep == "best" ? 2 : 5))
    #expect(result?.reason.contains("no better score for 2 rounds: stopped after 5 of 9") == true)
  }

  @Test func withoutAnEarlyStopTheBestOfAllModelsIsKept() throws {
    let trial = try FederationTrial(TestFederation(rounds: 4, keep: "best"))
    trial.startSites()
    try trial.expectEnd()
    #expect(trial.sites[0].outcome.withLock { $0.result?.rounds } == 2)
  }

  @Test func aStoreTellsWhereItsFederationStands() throws {
    let trial = try FederationTrial(TestFederation())
    #expect(throws: (any Error).self) { try FederationSurvey(store: trial.folder.url).report() }
    trial.startSites()
    try trial.expectEnd()
    let files = try FileManager.default.contentsOfDirectory(atPath: try trial.content.folder.path).sorted()
    #expect(
      files == [
        "agenda.json", "job.json", "model-0.f32", "model-1.f32", "model-2.f32", "rounds.jsonl", "sites.json",
        "sums.state",
      ])
    let status = try JSONDecoder().decode(
      FederationStatus.self, from: Data(contentsOf: try trial.content.folder.appending(path: "sites.json")))
    #expect(status.round == 2)
    #expect(status.sumsDone == 3)
    #expect(status.sites.map(\.state) == [.done, .done, .done])
    #expect(status.stage == "done")
  }
}
