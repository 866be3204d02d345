import TestSupport
import Testing

@testable import LeakAudit

@Suite struct IntervalTests {
  /// 5 of 10 by hand: centre 0.5, reach 1.96/(10 + 3.8415) · √(2.5 + 0.96036) = 0.26341.
  @Test func wilsonOfHalf() {
    let interval = Interval.wilson(successes: 5, trials: 10)
    #expect(abs(interval.lower - 0.23659) < 1e-4)
    #expect(abs(interval.upper - 0.76341) < 1e-4)
  }

  /// 0 of n reaches up to z²/(n + z²), never below 0.
  @Test func wilsonOfNone() {
    let interval = Interval.wilson(successes: 0, trials: 100)
    #expect(interval.lower == 0)
    #expect(abs(interval.upper - 3.8414588 / 103.8414588) < 1e-9)
  }

  /// The mean of n draws of 0 … 1 spreads by 1/√(12 n): at n = 400 the interval is ± 0.028, and 1000 draws find it within a fifth.
  @Test func bootstrapOfAMean() {
    var random = SystemRandomNumberGenerator()
    let values = (0..<400).map { Double($0) / 399 }
    let interval = Interval.bootstrap(items: 400, random: &random) { items in
      items.reduce(0) { $0 + values[$1] } / 400
    }
    let reach = (interval.upper - interval.lower) / 2
    #expect(abs(reach - 0.0283) < 0.0057)
    #expect(interval.lower < 0.5 && interval.upper > 0.5)
  }

  /// Groups that are all right or all wrong are one answer each, whatever their size: 5 of 10 by hand as above.
  @Test func wilsonOfGroupsThatHangTogether() {
    let groups = (0..<10).map { (right: $0 % 2 == 0 ? 100 : 0, all: 100) }
    // The deviation between ten groups is 1/√10 · √(10/9) · ½: 9 answers' worth.
    let interval = Interval.wilson(groups: groups)
    let expected = Interval.wilson(share: 0.5, trials: 9)
    #expect(abs(interval.lower - expected.lower) < 1e-12)
    #expect(abs(interval.upper - expected.upper) < 1e-12)
  }

  /// Without a single error no more is known than that of so many groups none was wrong.
  @Test func wilsonOfGroupsWithoutAnError() {
    let groups = Array(repeating: (right: 50, all: 50), count: 20)
    #expect(Interval.wilson(groups: groups) == .wilson(successes: 20, trials: 20))
    #expect(Interval.wilson(groups: []) == Interval(lower: 0, upper: 1))
  }

  /// Ten rows each, that differ no more between groups than within: still no more than one answer a group is counted.
  @Test func groupsCountForNoMoreThanOneAnswerEach() {
    let interval = Interval.wilson(groups: Array(repeating: (right: 5, all: 10), count: 30))
    #expect(interval == .wilson(successes: 15, trials: 30))
  }

  @Test func unity() {
    #expect(Interval(lower: -0.1, upper: 1.0000000000000002).clampedToUnitInterval == Interval(lower: 0, upper: 1))
  }
}

@Suite struct HalfSampleTests {
  /// The mean of n uniform numbers spreads by 1/√(12 n), whatever the halves: at n = 400 the interval is ± 0.028, and 1000 draws find it within
  /// a fifth.
  @Test func intervalOfAMean() {
    var random = SplitMix(seed: 1)
    let values = (0..<400).map { Double($0) / 399 }
    let interval = Interval.halfSamples(items: 400, draws: 1000, random: &random) { items in
      items.reduce(0) { $0 + values[$1] } / Double(items.count)
    }
    #expect(abs((interval.upper - interval.lower) / 2 - 0.0283) < 0.0057)
    #expect(interval.lower < 0.5 && interval.upper > 0.5)
  }

  /// No item is drawn twice.
  @Test func halvesAreWithoutReplacement() {
    var random = SplitMix(seed: 2)
    let interval = Interval.halfSamples(items: 31, draws: 50, random: &random) { Double(Set($0).count) }
    #expect(interval == Interval(lower: 15, upper: 15))
  }
}

@Suite struct ReceiverOperatingCharacteristicTests {
  /// Of ten negatives 0 … 9, one may score above the threshold 8 at a rate of 0.1, none above 9 at 0.05.
  @Test func thresholdsByHand() {
    let curve = ReceiverOperatingCharacteristic(
      positives: [9.5, 8.5, 8, 1], negatives: (0..<10).map { Double($0) })
    #expect(curve.truePositives(atFalsePositiveRate: 0.1) == 2)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 0.05) == 0.25)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 1) == 1)
    #expect(curve.chance(atFalsePositiveRate: 0.1) == 2.0 / 11)
    #expect(curve.chance(atFalsePositiveRate: 0.05) == 1.0 / 11)
  }

  /// Pairs won: 2 above both, 1 ties with the 1 and beats the 0, −1 loses both: (2 + 1.5 + 0)/6.
  @Test func areaByHand() {
    let curve = ReceiverOperatingCharacteristic(positives: [2, 1, -1], negatives: [1, 0])
    #expect(abs(curve.areaUnderCurve - 3.5 / 6) < 1e-12)
  }

  /// Scores that are all the same tell nothing, at any threshold but the last.
  @Test func tiesTellNothing() {
    let curve = ReceiverOperatingCharacteristic(positives: [1, 1], negatives: [1, 1, 1])
    #expect(curve.areaUnderCurve == 0.5)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 0.5) == 0)
  }
}
