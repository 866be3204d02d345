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
    // Negatives that score above and at least as high as the positive at hand.
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
