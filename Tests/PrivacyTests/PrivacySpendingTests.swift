import Foundation
import Testing

@testable import Privacy

@Suite struct PrivacySpendingTests {
  private static func mechanism(_ sigma: Double, _ rate: Double, _ steps: Int) throws -> SubsampledGaussian {
    try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: steps)
  }

  @Test func theTighterAccountantCounts() throws {
    let spent = try PrivacySpending.spent([Self.mechanism(1.5, 0.04, 300)], delta: 1e-5)
    let losses = try #require(spent.privacyLoss)
    #expect(spent.counted == .privacyLoss)
    #expect(spent.epsilon == losses.upper)
    #expect(losses.upper < spent.renyi.improved)
    // A grid so coarse that its slack passes what the Rényi divergences lose.
    let coarse = try PrivacySpending.spent([Self.mechanism(1.5, 0.04, 300)], delta: 1e-5, cells: 1024)
    #expect(coarse.counted == .renyi)
    #expect(coarse.epsilon == coarse.renyi.improved)
  }

  @Test func spendingFallsWithNoiseAndGrowsWithRateAndSteps() throws {
    func epsilons(_ mechanisms: [SubsampledGaussian]) throws -> [Double] {
      try mechanisms.map { try PrivacySpending.spent([$0], delta: 1e-5, cells: 1 << 15).epsilon }
    }
    let noise = try epsilons([0.6, 0.8, 1, 2, 5, 20].map { try Self.mechanism($0, 0.02, 1000) })
    #expect(zip(noise, noise.dropFirst()).allSatisfy { $0 > $1 })
    let rates = try epsilons([1e-4, 1e-3, 0.01, 0.1, 0.5, 1].map { try Self.mechanism(2, $0, 100) })
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 < $1 })
    let steps = try epsilons([1, 10, 100, 1000, 10_000].map { try Self.mechanism(1.5, 0.01, $0) })
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 })
  }

  /// More than a grid can hold is no error: the divergences count, and the reason is there to be printed.
  @Test func whereNoGridHelpsTheDivergencesCount() throws {
    for (mechanism, delta) in [
      (try Self.mechanism(0.05, 1, 100), 1e-5), (try Self.mechanism(10, 1e-4, 1_000_000_000), 1e-9),
      (try Self.mechanism(1, 0.1, SubsampledGaussian.largestSteps), 1e-5), (try Self.mechanism(1, 0.01, 10), 1e-18),
    ] {
      let spent = try PrivacySpending.spent([mechanism], delta: delta)
      #expect(spent.privacyLoss == nil)
      #expect(spent.privacyLossProblem != nil)
      #expect(spent.counted == .renyi)
      #expect(spent.epsilon > 0)
    }
    let many = try (0..<100).map { try Self.mechanism(1 + Double($0) / 100, 0.01, 1) }
    #expect(
      try PrivacySpending.spent(many, delta: 1e-5).privacyLossProblem == .tooManyMechanisms(count: 100, limit: 64))
    #expect(throws: PrivacyError.self) { try PrivacySpending.spent([], delta: 1e-5) }
    #expect(throws: PrivacyError.self) {
      try PrivacySpending.spent([Self.mechanism(1, 0.1, 1)], delta: 1e-5, cells: 1000)
    }
  }

  @Test func progressIsThatOfTheStepsSoFar() throws {
    let plan = [try Self.mechanism(1.5, 0.04, 200), try Self.mechanism(2, 0.1, 50)]
    let progress = try SpendingProgress(plan: plan, delta: 1e-5)
    #expect(progress.steps == 250)
    let after = try [0, 1, 100, 200, 201, 249, 250].map { try progress.spent(after: $0) }
    #expect(after[0].epsilon == 0)
    #expect(after[6] == (try PrivacySpending.spent(plan, delta: 1e-5)))
    #expect(zip(after, after.dropFirst()).allSatisfy { $0.epsilon <= $1.epsilon })
    for (steps, mechanisms) in [
      (100, [try plan[0].with(steps: 100)]), (201, [plan[0], try plan[1].with(steps: 1)]),
    ] {
      let (found, alone) = (try progress.spent(after: steps), try PrivacySpending.spent(mechanisms, delta: 1e-5))
      let (bounds, fine) = (try #require(found.privacyLoss), try #require(alone.privacyLoss))
      #expect(bounds.lower <= fine.upper && fine.lower <= bounds.upper)
      #expect(abs(bounds.estimate - fine.estimate) <= 1e-4)
      // The grid of the whole plan is coarser, by no more than its error for these steps.
      #expect(found.epsilon >= fine.lower && found.epsilon <= alone.epsilon + 0.02)
      #expect(abs(found.renyi.improved - alone.renyi.improved) <= 1e-12)
      #expect(found.renyi == (try progress.renyi(after: steps)))
    }
    for steps in [-1, 251, Int.max] {
      #expect(throws: PrivacyError.self) { try progress.spent(after: steps) }
      #expect(throws: PrivacyError.self) { try progress.renyi(after: steps) }
    }
  }

  @Test func progressWithoutAGridCountsDivergences() throws {
    let progress = try SpendingProgress(plan: [Self.mechanism(0.05, 1, 100)], delta: 1e-5)
    #expect(try progress.spent(after: 0).epsilon == 0)
    let half = try progress.spent(after: 50)
    #expect(half.privacyLoss == nil)
    #expect(half.epsilon == (try progress.renyi(after: 50).improved))
  }

  /// Any m of the sites that stay and keep their noise to themselves reach the whole.
  @Test func siteSharesAddUp() throws {
    for (survivors, colluders) in [(1, 0), (4, 0), (7, 3), (100, 99)] {
      let share = try SiteNoise.standardDeviation(total: 1.3, minimumSurvivors: survivors, colluders: colluders)
      #expect(abs(Double(survivors - colluders) * share * share - 1.69) <= 1e-14)
    }
    for (survivors, colluders) in [(0, 0), (3, 3), (3, 4), (3, -1), (-1, -2), (Int.min, Int.max)] {
      #expect(throws: PrivacyError.self) {
        try SiteNoise.standardDeviation(total: 1, minimumSurvivors: survivors, colluders: colluders)
      }
    }
    for total in [0, -1, .nan, .infinity] {
      #expect(throws: PrivacyError.self) {
        try SiteNoise.standardDeviation(total: total, minimumSurvivors: 2, colluders: 0)
      }
    }
  }
}
