import Testing

/// The parts that a round is made of, in double precision and without fixed point, put together: local work, keys and the server's rule, of every
/// strategy, against loops that are written out.
@Suite struct StrategyPrecisionTests {
  private static let rounds = DoubleFederation.rounds
  private static let units = DoubleFederation.units

  /// Strategies, and the keys that each allows.
  static let cases: [(strategy: String, strength: String)] =
    [
      "name: fedavg, server_lr: 0.7", "name: fedavgm, momentum: 0.8", "name: fedprox, mu: 0.3", "name: scaffold",
    ].flatMap { [($0, "rotation"), ($0, "permutation")] }
    + [
      "name: fedadagrad, server_lr: 0.1, tau: 1.0e-3",
      "name: fedadam, server_lr: 0.05, betas: [0.8, 0.95], tau: 1.0e-3",
      "name: fedyogi, server_lr: 0.05, betas: [0.8, 0.95], tau: 1.0e-3",
    ].map { ($0, "permutation") }

  @Test(arguments: cases, ["rows", "equal"])
  func `Five rounds of every strategy, masked and not, are those of plain loops`(
    strategy: (strategy: String, strength: String), weighting: String
  ) throws {
    let sites = try DoubleFederation(
      SmallFederation(
        rounds: Self.rounds, strategy: "{\(strategy.strategy), weighting: \(weighting)}", strength: strategy.strength,
        hidden: "[\(Self.units)]"))
    let expected = try sites.plain()
    let (clear, start) = try sites.run(isMasked: false)
    let (masked, sent) = try sites.run(isMasked: true)
    #expect(expected.count == 4 * Self.units + Self.units + 1)
    // The charter's bar. Some hundred roundings of numbers of order 1, of 1e-16 each, are multiplied by 1/τ = 1e3 at most and by what five
    // rounds of gradient descent make of a difference.
    for found in [clear, masked] {
      for (a, b) in zip(sites.withoutPadding(found), expected) { #expect(abs(a - b) <= 1e-10) }
    }
    // That the aggregator had something else, and that there was something to learn.
    #expect(zip(sent, start).contains { abs($0 - $1) > 1e-2 })
    #expect(zip(expected, sites.withoutPadding(start)).contains { abs($0 - $1) > 1e-2 })
  }
}
