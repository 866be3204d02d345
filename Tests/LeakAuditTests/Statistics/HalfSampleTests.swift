import LeakAudit
import Testing
import TestSupport

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
