import Foundation

/// A confidence interval at 95 %.
package struct Interval: Sendable, Equatable, Codable {
  package var lower: Double
  package var upper: Double

  package init(lower: Double, upper: Double) {
    self.lower = lower
    self.upper = upper
  }

  /// Of a proportion, by Wilson's score (J. Am. Stat. Assoc. 22, 1927, p. 209): holds for 0 and all successes too.
  ///
  /// - Parameters:
  ///   - successes: 0 … trials.
  ///   - trials: independent ones; at least 1.
  package static func wilson(successes: Int, trials: Int) -> Interval {
    wilson(share: Double(successes) / Double(max(1, trials)), trials: Double(max(1, trials)))
  }

  /// - Parameter trials: independent ones, not necessarily a whole number; at least 1.
  static func wilson(share: Double, trials n: Double) -> Interval {
    let (k, z) = (share * n, 1.959963984540054)
    let centre = (k + z * z / 2) / (n + z * z)
    let reach = z / (n + z * z) * (max(0, k * (n - k)) / n + z * z / 4).squareRoot()
    return Interval(lower: max(0, centre - reach), upper: min(1, centre + reach))
  }

  /// Of a statistic of independent items, by the percentile bootstrap (Efron, Ann. Stat. 7, 1979): what `statistic` says of the items drawn
  /// again with replacement, between the 2.5 and 97.5 % quantiles.
  ///
  /// - Parameters:
  ///   - items: how many there are; at least 1.
  ///   - statistic: of the items with these numbers, some more than once.
  package static func bootstrap(
    items: Int, draws: Int = 1000, random: inout some RandomNumberGenerator, statistic: ([Int]) -> Double
  ) -> Interval {
    var values = (0..<draws).map { _ in
      statistic((0..<items).map { _ in Int.random(in: 0..<items, using: &random) })
    }
    values.sort()
    return Interval(
      lower: values[Int(0.025 * Double(draws - 1))], upper: values[Int((0.975 * Double(draws - 1)).rounded(.up))])
  }
}
