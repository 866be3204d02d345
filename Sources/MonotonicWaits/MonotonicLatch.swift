import Foundation

/// Something that happens once and that others wait for, by a clock that nobody sets.
///
/// `@unchecked Sendable`: its state is read and written with `condition` locked.
package final class MonotonicLatch: @unchecked Sendable {
  private let condition = MonotonicCondition()
  private var isOpen = false

  package init() {}

  /// It happened; again changes nothing.
  package func open() {
    condition.withLock {
      isOpen = true
      condition.broadcast()
    }
  }

  package func wait() {
    condition.withLock {
      while !isOpen { condition.wait() }
    }
  }

  /// - Returns: false when it has not happened within the duration.
  package func wait(for duration: Duration) -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + duration
    return condition.withLock {
      while !isOpen {
        if !condition.wait(for: end - clock.now), clock.now >= end { return isOpen }
      }
      return true
    }
  }
}
