import Testing

@testable import Collectives

@Suite struct MPINapsTests {
  /// Naps until `seconds` have passed in which nothing moved.
  private func naps(
    _ naps: inout MPINaps, isAwaited: Bool = false, hasMessages: Bool = false, hasSums: Bool = false,
    until seconds: Double
  ) -> [Double] {
    var (slept, all) = (0.0, [Double]())
    while slept < seconds {
      naps.looked(hasMoved: false, isAwaited: isAwaited, hasMessages: hasMessages, hasSums: hasSums)
      slept += naps.next
      all.append(naps.next)
    }
    return all
  }

  @Test func whereNothingIsUnderWayNoWaitTakesMoreThanTwiceItsTimeAndFewLooks() {
    var napping = MPINaps()
    let all = naps(&napping, until: 1)
    var slept = 0.0
    for nap in all {
      // The first nap is 50 microseconds; sums of such numbers round.
      #expect(nap <= slept + 51e-6 && nap <= 10e-3)
      slept += nap
    }
    #expect(all.count < 110)
  }

  @Test func whatIsAwaitedIsLookedAtOften() {
    var napping = MPINaps()
    _ = naps(&napping, until: 1)
    #expect(naps(&napping, isAwaited: true, hasSums: true, until: 0.01).allSatisfy { $0 <= 100e-6 })
  }

  @Test func sumsAreMovedOnSoonThenEveryFourMillisecondsAndAfterAMoveAtOnce() {
    var napping = MPINaps()
    let all = naps(&napping, hasSums: true, until: 0.1)
    #expect(all.prefix(3) == [50e-6, 100e-6, 200e-6] && all.last == 4e-3)
    napping.looked(hasMoved: true, isAwaited: false, hasMessages: false, hasSums: true)
    #expect(napping.next == 0)
  }

  @Test func messagesAreMovedOnEveryMillisecondAlsoBesideSums() {
    var napping = MPINaps()
    _ = naps(&napping, hasSums: true, until: 0.1)
    #expect(naps(&napping, hasMessages: true, hasSums: true, until: 0.1).allSatisfy { $0 == 1e-3 })
  }
}
