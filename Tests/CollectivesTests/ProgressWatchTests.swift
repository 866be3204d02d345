import Foundations
import Synchronization
import Testing

@testable import Collectives

@Suite(.timeLimit(.minutes(10))) struct ProgressWatchTests {
  /// Looks at a thread that did `beats` before each look, and tells how often it was looked at.
  private func watch(_ pulse: @escaping @Sendable (Int) -> ProgressWatch.Pulse?) -> (hangs: Bool, looks: Int) {
    let looks = Mutex(0)
    let hangs = ProgressWatch(tick: .microseconds(100)) {
      pulse(
        looks.withLock { looks in
          looks += 1
          return looks
        })
    }.run(until: MonotonicLatch())
    return (hangs, looks.withLock { $0 })
  }

  @Test func aThreadWithoutABeatHangsAfterSixtyTicks() {
    // The first look only tells where it stands.
    #expect(watch { _ in .init(beats: 7, isDoubted: false) } == (true, 61))
  }

  @Test func oneThatIsAskedForAndDoesNotAnswerHangsAfterEight() {
    #expect(watch { look in .init(beats: 7, isDoubted: look > 20) } == (true, 28))
  }

  @Test func oneThatBeatsNowAndThenDoesNotHang() {
    let (hangs, looks) = watch { look in
      look < 500 ? .init(beats: UInt64(look / 59), isDoubted: false) : nil
    }
    #expect(!hangs && looks == 500)
  }

  @Test func whatEndedOrNeedNotAnswerDoesNotHang() {
    let ended = MonotonicLatch()
    ended.open()
    #expect(!ProgressWatch { .init(beats: 0, isDoubted: true) }.run(until: ended))
    #expect(watch { _ in nil } == (false, 1))
  }
}
