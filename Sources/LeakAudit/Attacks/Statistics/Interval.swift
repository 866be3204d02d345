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

extension Interval {
  /// Of the share of right answers that come in groups and hang together within each: Wilson's score for as many independent answers as would
  /// spread as the groups do (the effective sample size of Kish, Survey Sampling, 1965, section 8.2, as Korn and Graubard, Survey
  /// Methodology 24, 1998, use it), and for no more than there are groups: where all or none are right, nothing tells the two apart.
  ///
  /// - Parameter groups: right answers and all of each; without any, nothing is known.
  package static func wilson(groups: [(right: Int, all: Int)]) -> Interval {
    let groups = groups.filter { $0.all > 0 }
    guard !groups.isEmpty else { return Interval(lower: 0, upper: 1) }
    let count = Double(groups.count)
    let answers = Double(groups.reduce(0) { $0 + $1.all })
    let share = Double(groups.reduce(0) { $0 + $1.right }) / answers
    // Of a ratio of two sums, by linearization (Cochran, Sampling Techniques, 3rd ed. 1977, section 6.3).
    let scatter = groups.reduce(0) { sum, group in
      let residual = Double(group.right) - share * Double(group.all)
      return sum + residual * residual
    }
    let variance = count / max(1, count - 1) * scatter / (answers * answers)
    let effective = variance > 0 ? min(count, share * (1 - share) / variance) : count
    return wilson(share: share, trials: max(1, effective))
  }

  /// The least interval that holds both.
  package func union(_ other: Interval) -> Interval {
    Interval(lower: min(lower, other.lower), upper: max(upper, other.upper))
  }

  /// What of it lies within 0 … 1; for a metric that cannot be beyond, which rounding or a draw may be.
  package var clampedToUnitInterval: Interval { Interval(lower: min(1, max(0, lower)), upper: min(1, max(0, upper))) }
}

extension Interval {
  /// Of a statistic that items drawn twice would inflate, such as agreement beyond chance: what it says of random halves of the items,
  /// without replacement, between the 2.5 and 97.5 % quantiles.
  ///
  /// A mean over a half taken from the whole spreads around the whole's by exactly what the whole's spreads around the truth: the variance
  /// is 1/(n/2) · (1 − 1/2) (Politis, Romano and Wolf, Subsampling, 1999, section 2.2, with the correction for finite populations).
  ///
  /// - Parameters:
  ///   - items: how many there are; at least 2.
  ///   - statistic: of the items with these numbers.
  package static func halfSamples(
    items: Int, draws: Int = 200, random: inout some RandomNumberGenerator, statistic: ([Int]) -> Double
  ) -> Interval {
    var order = Array(0..<items)
    let half = max(1, items / 2)
    var values = (0..<max(1, draws)).map { _ in
      for place in 0..<half { order.swapAt(place, Int.random(in: place..<items, using: &random)) }
      return statistic(Array(order[..<half]))
    }
    values.sort()
    let last = Double(values.count - 1)
    return Interval(lower: values[Int(0.025 * last)], upper: values[Int((0.975 * last).rounded(.up))])
  }
}

/// How well scores tell members from others, at every threshold.
package struct ReceiverOperatingCharacteristic: Sendable {
  /// Scores of those that are, and of those that are not, in descending order; none NaN.
  private let positives: [Double]
  private let negatives: [Double]

  package init(positives: [Double], negatives: [Double]) {
    self.positives = positives.sorted(by: >)
    self.negatives = negatives.sorted(by: >)
  }

  /// How many of the positives score above a threshold that at most this share of the negatives exceeds; ties count against the attack.
  ///
  /// With fewer than 1/rate negatives the threshold is the highest of them: no false positive at all.
  package func truePositives(atFalsePositiveRate rate: Double) -> Int {
    let threshold = threshold(atFalsePositiveRate: rate)
    return positives.prefix { $0 > threshold }.count
  }

  /// What a score has to exceed; −∞ where any may.
  package func threshold(atFalsePositiveRate rate: Double) -> Double {
    let allowed = falsePositives(atRate: rate)
    return allowed < negatives.count ? negatives[allowed] : -.infinity
  }

  /// The true-positive rate to expect of scores that say nothing: the threshold is then as likely as any place between the negatives.
  package func chance(atFalsePositiveRate rate: Double) -> Double {
    min(1, Double(falsePositives(atRate: rate) + 1) / Double(negatives.count + 1))
  }

  /// How many negatives a rate allows; none with fewer than 1/rate.
  package func falsePositives(atRate rate: Double) -> Int { Int(rate * Double(negatives.count) + 1e-9) }

  /// The same as a share of the positives.
  package func truePositiveRate(atFalsePositiveRate rate: Double) -> Double {
    positives.isEmpty ? 0 : Double(truePositives(atFalsePositiveRate: rate)) / Double(positives.count)
  }

  /// The share of pairs of a positive and a negative in which the positive scores higher, ties by half (Hanley and McNeil, Radiology 143,
  /// 1982); 0.5 where one side is empty.
  package var areaUnderCurve: Double {
    guard !positives.isEmpty, !negatives.isEmpty else { return 0.5 }
    var sum = 0.0
    // Negatives that score above and at least as high as the current positive.
    var (above, atLeast) = (0, 0)
    for score in positives {
      while above < negatives.count, negatives[above] > score { above += 1 }
      atLeast = max(atLeast, above)
      while atLeast < negatives.count, negatives[atLeast] >= score { atLeast += 1 }
      sum += Double(negatives.count - atLeast) + Double(atLeast - above) / 2
    }
    return sum / (Double(positives.count) * Double(negatives.count))
  }
}
