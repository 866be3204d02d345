import Foundation
import Testing

@testable import Foundations

@Suite(.timeLimit(.minutes(10))) struct MonotonicConditionTests {
  /// Its deadlines are those of the same clock, or the next test would fail: the real-time clock is decades ahead of the monotonic one.
  @Test func itsClockIsTheOneThatNobodySets() {
    let clock = MonotonicCondition.withAttributes { attributes in
      var clock: clockid_t = -1
      pthread_condattr_getclock(&attributes, &clock)
      return clock
    }
    #expect(clock == CLOCK_MONOTONIC)
  }

  @Test func aWaitEndsAfterItsTime() {
    let condition = MonotonicCondition()
    let start = ContinuousClock.now
    let isSignalled = condition.withLock { () -> Bool in
      // May return early without a signal, in theory.
      while ContinuousClock.now - start < .milliseconds(200) {
        if !condition.wait(for: .milliseconds(200)) { return false }
      }
      return true
    }
    let waited = ContinuousClock.now - start
    #expect(!isSignalled)
    // The second is what a busy machine may add, times ten.
    #expect(waited >= .milliseconds(200) && waited < .seconds(10))
  }

  @Test(arguments: [Duration.zero, .seconds(-5), .nanoseconds(-1)])
  func aTimeThatIsOverIsNotWaitedFor(_ duration: Duration) {
    let condition = MonotonicCondition()
    #expect(condition.withLock { condition.wait(for: duration) } == false)
  }

  @Test func aLatchWakesWhoeverWaits() {
    let latch = MonotonicLatch()
    #expect(!latch.wait(for: .milliseconds(20)))
    let opener = Thread {
      Thread.sleep(forTimeInterval: 0.05)
      latch.open()
    }
    let start = ContinuousClock.now
    opener.start()
    #expect(latch.wait(for: .seconds(1_000_000_000_000)))
    #expect(ContinuousClock.now - start < .seconds(30))
    // Stays open.
    #expect(latch.wait(for: .zero))
    latch.wait()
  }
}
