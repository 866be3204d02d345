import Federation
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import Privacy
import SecureSums
import TestSupport
import Testing

@testable import SiteRole

/// Whether the ε that `unit: site` claims is that of the sums which leave the secure sum: many runs are summed with one site's updates and with
/// zeros in their place, and a distinguisher that knows where that site's update lies tells the two apart as well as it can.
@Suite struct SiteCanaryTests {
  private static let trials = 2000
  private static let rounds = 2
  private static let (epsilon, delta) = (3.0, 1e-3)
  private static let clip = 0.05
  private static let entries = 4

  private let federation: SmallFederation
  /// Of the two sites that are in every sum: as many as the charter's minimum, no more noise than it says.
  private let sites: [SiteWork]
  private let format: VectorFormat

  init() throws {
    federation = try PrivacyFixture.federation(
      unit: "site", privacy: "clip_norm: \(Self.clip), epsilon: \(Self.epsilon), delta: \(Self.delta)",
      rounds: Self.rounds)
    let federation = federation
    sites = try (0..<2).map { try federation.work($0, secret: PrivacyFixture.secret($0)) }
    format = try sites[0].format(of: .update(round: 0))
  }

  /// Along the canary's update, which is far beyond the clip, the sum of all rounds of one run.
  private func score(trial: Int, withCanary: Bool, withNoise: Bool) throws -> Double {
    var score = 0.0
    for round in 0..<Self.rounds {
      let model = "run \(trial) \(withCanary)"
      var sum = format.vector()
      for (site, work) in sites.enumerated() {
        let privacy = try #require(work.privacy)
        let isThere = site == 0 && withCanary
        let update = Tensor<Float>([isThere ? 100 : 0, 0, 0, 0], shape: [1, Self.entries])
        var noised = try privacy.noised(
          [update], work.model.specifications, round: round, model: model, workers: Workers(threads: 1))[0].elements
        if !withNoise {
          let noise = PrivacyFixture.normals(
            Self.entries, federation, site: site, round: round, model: model, label: "site update/parameter 0")
          let deviation = try privacy.plan.ownDeviation
          for place in noised.indices { noised[place] -= Float(deviation * noise[place]) }
        }
        var vector = format.vector()
        try format.encode(noised, weight: 1, block: VectorBlock.update, into: &vector)
        for place in sum.indices { sum[place] &+= vector[place] }
      }
      score += try format.decode(sum, block: VectorBlock.update)[0]
    }
    return score
  }

  private func measuredEpsilon(withNoise: Bool) throws -> Double {
    func scores(_ withCanary: Bool) throws -> [Double] {
      try (0..<Self.trials).map { try score(trial: $0, withCanary: withCanary, withNoise: withNoise) }
    }
    return MeasuredEpsilon.lowerBound(with: try scores(true), without: try scores(false), delta: Self.delta)
  }

  @Test
  func
    `No test tells a site's presence from sums better than the claimed budget allows, unless the noise is taken away`()
    throws
  {
    let measured = try measuredEpsilon(withNoise: true)
    #expect(measured <= Self.epsilon)
    // The attack is one: it sees something.
    #expect(measured > 0.5)
    #expect(try measuredEpsilon(withNoise: false) > Self.epsilon)
  }
}
