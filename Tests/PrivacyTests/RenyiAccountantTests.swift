import Foundation
import Privacy
import Testing

@Suite struct RenyiAccountantTests {
  private static func mechanism(_ sigma: Double, _ rate: Double, _ steps: Int) throws -> SubsampledGaussian {
    try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: steps)
  }

  /// Divergences of each order add up, whatever the order of the mechanisms, up to rounding of sums.
  @Test func compositionIsAddition() throws {
    let (a, b) = (try Self.mechanism(1.1, 0.01, 700), try Self.mechanism(2, 0.3, 20))
    let both = try RenyiAccountant([a, b]).divergences
    #expect(try RenyiAccountant([b, a]).divergences == both)
    let parts = zip(try RenyiAccountant([a]).divergences, try RenyiAccountant([b]).divergences).map(+)
    #expect(both == parts)
    let halves = try RenyiAccountant([a.with(steps: 350), a.with(steps: 350)]).divergences
    #expect(zip(halves, try RenyiAccountant([a]).divergences).allSatisfy { abs($0 - $1) <= 1e-15 * $1 })
  }

  @Test func epsilonFallsWithNoiseAndGrowsWithRateAndSteps() throws {
    func epsilons(_ mechanisms: [SubsampledGaussian]) throws -> [Double] {
      try mechanisms.map { try RenyiAccountant([$0]).epsilon(delta: 1e-5).improved }
    }
    let noise = try epsilons([0.6, 0.8, 1, 2, 5, 20].map { try Self.mechanism($0, 0.02, 1000) })
    #expect(zip(noise, noise.dropFirst()).allSatisfy { $0 > $1 })
    let rates = try epsilons([1e-4, 1e-3, 0.01, 0.1, 0.5, 1].map { try Self.mechanism(2, $0, 100) })
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 < $1 })
    let steps = try epsilons([1, 10, 100, 10_000, 1_000_000].map { try Self.mechanism(1.5, 0.01, $0) })
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 })
    let deltas = try [1e-10, 1e-5, 1e-2].map {
      try RenyiAccountant([Self.mechanism(1.5, 0.01, 100)]).epsilon(delta: $0).improved
    }
    #expect(zip(deltas, deltas.dropFirst()).allSatisfy { $0 > $1 })
  }

  /// Both conversions by hand for one order.
  @Test func conversionsAreThoseOfThePapers() throws {
    let accountant = try RenyiAccountant([Self.mechanism(2, 1, 3)], orders: [8])
    let divergence = 3 * 8 / 8.0
    let found = try accountant.epsilon(delta: 1e-6)
    #expect(abs(found.classic - (divergence + log(1e6) / 7)) < 1e-14)
    #expect(abs(found.improved - (divergence + log(7.0 / 8) - (log(1e-6) + log(8)) / 7)) < 1e-14)
    #expect(found.classicOrder == 8)
    #expect(found.improvedOrder == 8)
  }

  @Test func moreOrdersNeverHurtAndTheImprovedConversionIsNeverWorse() throws {
    for (sigma, rate, steps) in [(1.1, 0.004, 14000), (0.5, 0.5, 1), (5, 1, 30), (100, 0.001, 10)] {
      let all = try RenyiAccountant([Self.mechanism(sigma, rate, steps)]).epsilon(delta: 1e-5)
      let integers = try RenyiAccountant([Self.mechanism(sigma, rate, steps)], orders: RenyiAccountant.integerOrders)
        .epsilon(delta: 1e-5)
      #expect(all.improved <= all.classic)
      #expect(all.improved <= integers.improved)
      #expect(RenyiAccountant.integerOrders.contains(integers.improvedOrder))
    }
  }

  @Test func nothingSpentIsZero() throws {
    let found = try RenyiAccountant().epsilon(delta: 1e-5)
    #expect(found.improved == 0)
    #expect(found.classic == 0)
  }

  @Test(arguments: [0, 1, -0.1, 2, .nan, .infinity]) func deltasOutsideTheRangeAreRefused(_ delta: Double) throws {
    let mechanism = try Self.mechanism(1, 0.1, 1)
    #expect(throws: PrivacyError.self) { try RenyiAccountant([mechanism]).epsilon(delta: delta) }
    #expect(throws: PrivacyError.self) { try PrivacySpending.spent([mechanism], delta: delta) }
  }

  @Test func hostileMechanismsAreRefused() {
    for sigma in [0, -1, 0.009, 1.1e9, .nan, .infinity, -.infinity] {
      #expect(throws: PrivacyError.self) { try Self.mechanism(sigma, 0.1, 1) }
    }
    for rate in [0, -0.1, 1.000_001, .nan, .infinity] {
      #expect(throws: PrivacyError.self) { try Self.mechanism(1, rate, 1) }
    }
    for steps in [0, -1, Int.min, Int.max] { #expect(throws: PrivacyError.self) { try Self.mechanism(1, 0.1, steps) } }
    #expect(throws: PrivacyError.self) { try RenyiAccountant(orders: []) }
  }

  /// The corners of what is accepted give numbers, +∞ at worst, in no time.
  @Test func extremesGiveNumbers() throws {
    for sigma in [0.01, 1, 1e9] {
      for rate in [Double.leastNonzeroMagnitude, 1e-9, 0.5, 1 - 1e-16, 1] {
        for steps in [1, SubsampledGaussian.largestSteps] {
          let found = try RenyiAccountant([Self.mechanism(sigma, rate, steps)]).epsilon(delta: 1e-9)
          #expect(found.improved >= 0 && found.improved <= found.classic)
        }
      }
    }
  }
}
