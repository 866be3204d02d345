import Privacy
import Testing

/// Figures that others have published for the same mechanisms.
@Suite struct PublishedFiguresTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let sigma: Double
    let rate: Double
    let steps: Int
    let delta: Double
    let figure: Double
    var testDescription: String { "σ \(sigma), q \(rate), \(steps) steps, δ \(delta): \(figure)" }

    func mechanism() throws -> SubsampledGaussian {
      try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: steps)
    }
  }

  /// The improved conversion with the standard orders, to the digits that are published.
  @Test(arguments: [
    Row(sigma: 1.3, rate: 150.0 / 60000, steps: 6000, delta: 1e-5, figure: 0.7242),
    Row(sigma: 1, rate: 100.0 / 100_000, steps: 30_000, delta: 1e-7, figure: 1.4155),
    Row(sigma: 1.5, rate: 0.04, steps: 2250, delta: 1e-5, figure: 7.3291),
  ]) func renyi(_ row: Row) throws {
    #expect(abs(try RenyiAccountant([row.mechanism()]).epsilon(delta: row.delta).improved - row.figure) <= 1e-4)
  }

  /// 60 epochs of 60000 rows in batches of 256, with integer orders: both conversions, to the digits that are published.
  @Test func renyiWithIntegerOrders() throws {
    let row = Row(sigma: 1.1, rate: 256.0 / 60000, steps: 60 * 60000 / 256, delta: 1e-5, figure: 2.597)
    let found = try RenyiAccountant([row.mechanism()], orders: RenyiAccountant.integerOrders).epsilon(delta: row.delta)
    #expect(abs(found.improved - row.figure) <= 5e-4)
    #expect(found.improvedOrder == 8)
    #expect(abs(found.classic - 3.01) <= 1e-3)
    #expect(found.classicOrder == 9)
  }

  /// `estimate` is compared: these figures are without slack. What may be promised is less than 0.01 above.
  @Test(arguments: [
    Row(sigma: 1.5, rate: 0.04, steps: 2250, delta: 1e-5, figure: 6.769),
    Row(sigma: 0.8, rate: 0.001, steps: 100, delta: 1e-6, figure: 0.260),
    Row(sigma: 1.5, rate: 0.05, steps: 1000, delta: 1e-6, figure: 6.200),
    Row(sigma: 3, rate: 0.05, steps: 1000, delta: 1e-6, figure: 2.517),
    Row(sigma: 2, rate: 0.2, steps: 100, delta: 1e-6, figure: 5.662),
  ]) func privacyLoss(_ row: Row) throws {
    let spent = try PrivacySpending.spent([row.mechanism()], delta: row.delta)
    let found = try #require(spent.privacyLoss)
    #expect(abs(found.estimate - row.figure) <= 1e-3)
    #expect(found.lower <= found.estimate && found.estimate <= found.upper)
    #expect(found.upper <= row.figure + 0.01)
    #expect(spent.epsilon == found.upper)
    #expect(spent.counted == .privacyLoss)
  }

  /// The accountant's own bounds of the published kind: error of ε 0.01, error of δ a thousandth of δ. The exact ε is within them.
  @Test func boundsOfAnErrorThatIsAskedFor() throws {
    let row = Row(sigma: 1.5, rate: 0.04, steps: 2250, delta: 1e-5, figure: 6.769)
    let accountant = try PrivacyLossAccountant([row.mechanism()], epsilonError: 0.01, deltaError: 1e-8)
    let found = try accountant.epsilon(delta: row.delta)
    #expect(accountant.epsilonError <= 0.01 * (1 + 1e-12))
    #expect(abs(found.estimate - row.figure) <= 1e-3)
    #expect(found.lower >= row.figure - 0.0115 && found.upper <= row.figure + 0.0115)
  }
}
