import Cryptography
import Foundation
import Foundations
import Models
import Protocol
import SecureSums
import TestSupport

@testable import Federation
@testable import JobSpec

/// A federation of sites that train nothing: their updates are numbers that follow from the site, the round and the model, so that anybody
/// can compute the whole federation again.
struct TestFederation: Sendable {
  let plan: FederationPlan
  let siteKeys: [CurveKeyPair]
  let aggregatorKeys: CurveKeyPair
  /// Of the trained parameters.
  let entries: Int

  /// - Parameters:
  ///   - settings: of `federation`, as YAML lines without indentation.
  init(
    sites: Int = 3, entries: Int = 10, rounds: Int = 2, strategy: String = "{name: fedavg, weighting: rows}",
    minimum: Int = 2, fraction: Double = 1, patience: Double = 600, aggregation: String = "secure",
    threshold: Int? = nil,
    standardize: String = "none", keep: String = "last", settings: [String] = []
  ) throws {
    let names = (0..<sites).map { "site\($0)" }
    var federation = [
      "strategy: \(strategy)", "rounds: \(rounds)", "local: {updates: 1}",
      "participation: {minimum: \(minimum), fraction: \(fraction), patience: \(patience)}",
      "fixed_point: {update_clip: 8.0, rows_bound: 1024, statistics_bound: 1.0e6}", "aggregation: \(aggregation)",
    ]
    if let threshold { federation.append("threshold: \(threshold)") }
    federation += settings
    let lines =
      [
        "name: synthetic", "aggregator: {address: \"tcp://127.0.0.1:5590\", key: keys/aggregator.pub}",
        "sites: [\(names.map { "{name: \($0), key: keys/\($0).pub}" }.joined(separator: ", "))]",
        "data: {columns: [x, y, z], classes: [ill, well], standardize: \(standardize)}", "task: classification",
        "model: {mlp: {hidden: []}}", "optimizer: {name: sgd, lr: 0.1, momentum: 0}",
        "train: {batch: 8, keep: \(keep)}",
        "federation:",
      ] + federation.map { "  " + $0 }
    let bytes = Array(lines.joined(separator: "\n").utf8)
    let charter = try Charter.parse(bytes: bytes, directory: "/charter", workingDirectory: "/charter")
    siteKeys = try (0..<sites).map { _ in try CurveKeyPair.generate() }
    aggregatorKeys = try CurveKeyPair.generate()
    plan = try FederationPlan(
      Charter.Loaded(charter: charter, bytes: bytes), siteKeys: siteKeys.map(\.publicKey),
      aggregatorKey: aggregatorKeys.publicKey)
    self.entries = entries
  }

  var columns: Int { plan.charter.data.columns.count }

  var introduction: SiteIntroduction {
    SiteIntroduction(entries: entries, columns: columns, model: "a model", columnNames: "names", records: 0)
  }

  func format(of purpose: SumPurpose) throws -> VectorFormat {
    try plan.format(of: purpose, entries: entries, columns: columns)
  }

  // MARK: - What sites compute

  private func numbers(_ seed: Int, count: Int) -> [Float] {
    var generator = SplitMix(seed: UInt64(seed))
    return (0..<count).map { _ in generator.nextValue() }
  }

  var start: [Float] { numbers(7, count: entries) }

  func rows(_ site: Int) -> Int { 10 + 7 * site }

  /// A step towards the site's own target, other in each round.
  private func update(_ site: Int, _ round: Int, _ model: ArraySlice<Float>) -> [Float] {
    let target = numbers(1000 * (site + 1) + round, count: entries)
    return zip(target, model).map { 0.25 * ($0 - $1) }
  }

  private func statistics(_ site: Int, of model: Int) -> SiteStatistics {
    var statistics = SiteStatistics(task: plan.charter.task)
    statistics.weight = plan.charter.federation.weighting == .rows ? rows(site) : 1
    statistics.trainingRows = rows(site)
    statistics.validationRows = 4
    statistics.localLoss = Double(site) + 0.5
    statistics.validationLoss = 4 * accuracy(of: model)
    statistics.metrics = [4 * accuracy(of: model), 2]
    statistics.metricRows = [4, 4]
    return statistics
  }

  /// Rises to round 2 and falls from then on.
  func accuracy(of model: Int) -> Double { 0.875 - 0.125 * Double(abs(model - 2)) }

  /// A site's vector for a sum, before it is masked.
  ///
  /// - Parameter model: that it is about, with its control variates; empty where it is about none.
  func vector(of site: Int, for purpose: SumPurpose, model: [Float]) throws -> [UInt64] {
    let format = try format(of: purpose)
    var vector = format.vector()
    switch purpose {
    case .means, .deviations:
      let values = numbers(site + (purpose == .means ? 100 : 200), count: columns).map(Double.init)
      try format.encode(values, block: VectorBlock.columns, into: &vector)
      try format.encode(integers: [rows(site)], block: VectorBlock.rows, into: &vector)
    case .classCounts:
      try format.encode(integers: [rows(site) - 3, 3], block: VectorBlock.classes, into: &vector)
    case .update(let round):
      let statistics = statistics(site, of: round)
      try format.encode(
        update(site, round, model[..<entries]), weight: statistics.weight, block: VectorBlock.update, into: &vector)
      if plan.modelLength(entries: entries) > entries {
        try format.encode(update(site, round + 50, model[entries...]), block: VectorBlock.controls, into: &vector)
      }
      if plan.hasStatistics { try statistics.encode(into: &vector, format: format) }
    case .evaluation(let rounds): try statistics(site, of: rounds).encode(into: &vector, format: format)
    }
    return vector
  }
}
