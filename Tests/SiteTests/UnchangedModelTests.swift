import Federation
import Foundation
import JobSpec
import SecureSums
import TestSupport
import Testing

@testable import SiteRole

/// Models that no update has changed: they come back in the next round, and nobody has lied.
@Suite struct UnchangedModelTests {
  /// Noise far below what fixed point can tell: every update is rounded to zeros, and the model stays what it is.
  @Test(arguments: ["site", "record"])
  func `Under privacy a model that stays the same is no accusation`(unit: String) throws {
    let federation = try PrivacyFixture.federation(
      unit: unit, privacy: "clip_norm: 1.0e-12, epsilon: 20, delta: 1.0e-5", rounds: 3)
    for result in try federation.run() { _ = try result.get() }
    let records = try SiteHistory(federation.runDirectory(0)).records
    #expect(records.map(\.purpose) == ["update 0", "update 1", "update 2"])
    #expect(Set(records.map(\.model)).count == 1)
    #expect(try PrivacyFixture.entries(federation, site: 0).map(\.round) == [0, 1, 2])
  }

  /// Steps of the server that single precision rounds away, though no update is zero.
  @Test func `Updates that change no number of the model are no accusation`() throws {
    let federation = try SmallFederation(rounds: 3, strategy: "{name: fedavg, server_lr: 1.0e-30}")
    for result in try federation.run() { _ = try result.get() }
    let records = try SiteHistory(federation.runDirectory(0)).records
    #expect(Set(records.map(\.model).filter { !$0.isEmpty }).count == 1)
  }

  static let strategies = [
    "{name: fedavg, weighting: equal", "{name: fedavg, weighting: rows", "{name: fedavgm, weighting: equal",
    "{name: fedadagrad, weighting: equal", "{name: fedadam, weighting: rows", "{name: fedyogi, weighting: equal",
  ]

  /// The mean of a sum in which all other sites sent zeros, and weigh as much as they may, is what a site's update surely moves. Worked by hand
  /// for a model of ones: single precision takes 1 + x for 1 where −2⁻²⁵ ≤ x ≤ 2⁻²⁴.
  ///
  /// - Parameter share: of the smallest rate of the server at which the mean moves any number of the model; 1/3 of it moves none of a mean
  ///   over three sites, though the update by itself would.
  @Test(arguments: strategies, [0.75, 2])
  func `An update counts as one that moves the model where the mean would`(strategy: String, share: Double) throws {
    func federation(rate: Double) throws -> SmallFederation {
      try SmallFederation(
        local: "{full: true}", strategy: "\(strategy), server_lr: \(rate)}", strength: "none", aggregation: "plain")
    }
    let model: [Float] = [1, 1, 1, 1]
    let first = try federation(rate: 1)
    let work = try first.work(0)
    let entries = try work.entries(for: .update(round: 0), model: model) { _, _ in }
    // Times the site's weight.
    let sent = try work.format(of: .update(round: 0)).decode(entries, block: VectorBlock.update)
    let settings = first.plan.charter.federation
    let weights = settings.weighting == .equal ? 3.0 : Double(work.trainingRows + 2 * 1024)
    let rule = settings.strategy
    let clip = settings.fixedPoint.updateClip
    let slope: Double =
      switch rule.kind {
      case .fedavg, .fedavgm: 1
      // m and √v + τ after the first round, v from no more than the largest Δ².
      default: (1 - rule.beta1) / ((rule.tau * rule.tau + clip * clip).squareRoot() + rule.tau)
      }
    let smallest = try #require(
      sent.filter { $0 != 0 }.map { ($0 > 0 ? 0x1p-24 : 0x1p-25) / (abs($0) / weights * slope) }.min())

    let second = try federation(rate: share * smallest)
    defer { withExtendedLifetime(second) {} }
    let site = try second.work(0)
    _ = try site.entries(for: .update(round: 0), model: model) { _, _ in }
    let again = Result { try site.entries(for: .update(round: 1), model: model) { _, _ in } }
    if share < 1 {
      #expect(throws: Never.self) { try again.get() }
    } else {
      #expect(throws: SiteError.aggregatorLies("the aggregator asks for the update of one model in two rounds")) {
        try again.get()
      }
    }
  }
}
