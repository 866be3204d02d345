import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing
import Training

@testable import SiteRole

/// Local updates at a provider against those of the site's own processors, in double precision: the same steps, unmasked.
@Suite(.waiting) struct ProviderTrainingTests {
  private typealias Trainings = (
    own: LocalTraining<Double>, provider: ProviderTraining<Double>, start: [Tensor<Double>]
  )

  private func trainings(
    _ federation: SmallFederation, site: Int, masking: String, host: ProviderHost<Double>, classWeights: [Double]? = nil
  ) throws -> Trainings {
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    return (
      try SiteTrainings.own(federation, site: site, secret: secret, rounds: 2, classWeights: classWeights),
      try SiteTrainings.provided(
        federation, site: site, masking: masking, host: host, secret: secret, rounds: 2, classWeights: classWeights),
      try SiteTrainings.start(federation, site: site, secret: secret)
    )
  }

  /// Counts what a site sends from now on: rows that batches carry, and parts of evaluations.
  private func count(at host: ProviderHost<Double>) -> Counts {
    let counts = Counts()
    host.network.setFault { transit in
      guard transit.direction == .toServer, let request = try? MessageCodec<Double>().ownerMessage(transit.message)
      else { return [transit.message] }
      counts.withLock {
        if case .batch(_, _, let delivery) = request.message { $0.rows += delivery.values.rows }
        if case .evaluate = request.message { $0.evaluations += 1 }
      }
      return [transit.message]
    }
    return counts
  }

  private final class Counts: Sendable {
    private let counts = Mutex((rows: 0, evaluations: 0))

    func withLock<Value>(_ body: (inout sending (rows: Int, evaluations: Int)) -> Value) -> Value {
      counts.withLock { body(&$0) }
    }
  }

  /// Masks are products of five numbers, steps are a few such: some hundred roundings of numbers of order 1, each 2⁻⁵³.
  private static let tolerance = 1e-13

  private func expectEqual(_ a: [Tensor<Double>], _ b: [Tensor<Double>]) {
    for (a, b) in zip(a, b) {
      for (a, b) in zip(a.elements, b.elements) { #expect(abs(a - b) <= Self.tolerance) }
    }
  }

  /// 14 of 17 rows by fours: round 0 has steps of 4, 4, 4 rows, round 1 of 2, 4, 4.
  @Test(arguments: ["rotation", "permutation", "input-only"])
  func `Rounds end in the weights of the site's own processors, with a short batch inside one`(masking: String) throws {
    let federation = try SmallFederation()
    let host = ProviderHost<Double>(federation.directory)
    defer { host.shutDown() }
    let (own, provider, start) = try trainings(federation, site: 0, masking: masking, host: host)
    let sent = count(at: host)
    var weights = start
    for round in 0..<2 {
      let expected = try own.train(round: round, from: weights)
      let found = try provider.train(round: round, from: weights, correction: nil, noise: nil, progress: { _, _ in })
      expectEqual(found.weights, expected.weights)
      #expect(found.observed == expected.observed)
      #expect(abs(found.lossSum - expected.lossSum) <= Self.tolerance * max(1, expected.lossSum))
      #expect(abs(found.rateSum - expected.rateSum) <= Self.tolerance)
      weights = expected.weights
    }
    #expect(sent.withLock { $0.evaluations } == 0, "steps alone were asked for")
    #expect(host.jobs.isEmpty)
  }

  @Test(arguments: ["classification", "regression"])
  func `Scores are those of the site's own processors`(task: String) throws {
    let federation = try SmallFederation(task: task)
    let host = ProviderHost<Double>(federation.directory)
    defer { host.shutDown() }
    let (own, provider, start) = try trainings(federation, site: 1, masking: "rotation", host: host)
    let expected = try #require(try own.evaluate(start))
    let found = try #require(try provider.evaluate(start, progress: {}))
    #expect(found.rows == expected.rows && found.observed == expected.observed)
    #expect(abs(found.lossSum - expected.lossSum) <= Self.tolerance * max(1, expected.lossSum))
    #expect(found.metrics.valuesByName.keys == expected.metrics.valuesByName.keys)
    for (name, value) in expected.metrics.valuesByName {
      #expect(abs((found.metrics[name] ?? .nan) - value) <= Self.tolerance * max(1, abs(value)))
    }
    #expect(host.jobs.isEmpty)
  }

  @Test func `Several passes over the rows in one round are the site's own too`() throws {
    let federation = try SmallFederation(local: "{epochs: 3}")
    let host = ProviderHost<Double>(federation.directory)
    defer { host.shutDown() }
    let (own, provider, start) = try trainings(federation, site: 1, masking: "rotation", host: host)
    let sent = count(at: host)
    let expected = try own.train(round: 1, from: start)
    expectEqual(
      try provider.train(round: 1, from: start, correction: nil, noise: nil, progress: { _, _ in }).weights,
      expected.weights)
    // 32 rows, which travel once; but those again that were under way when the next pass began.
    let rows = sent.withLock { $0.rows }
    #expect((32..<64).contains(rows), "\(rows) rows were sent")
  }

  @Test func `Rows of a class count what the site's own processors have them count, in steps and not in scores`() throws
  {
    let federation = try SmallFederation(task: "classification")
    let host = ProviderHost<Double>(federation.directory)
    defer { host.shutDown() }
    let (own, provider, start) = try trainings(
      federation, site: 1, masking: "rotation", host: host, classWeights: [0.4, 2.5])
    let expected = try own.train(round: 0, from: start)
    let found = try provider.train(round: 0, from: start, correction: nil, noise: nil, progress: { _, _ in })
    expectEqual(found.weights, expected.weights)
    #expect(abs(found.lossSum - expected.lossSum) <= Self.tolerance * expected.lossSum)
    let score = try #require(try provider.evaluate(start, progress: {}))
    #expect(abs(score.lossSum - (try own.evaluate(start)?.lossSum ?? .nan)) <= Self.tolerance * score.lossSum)
  }
}
