import Foundation

/// A mutex and a condition whose waits end after the time that was asked for, whatever happens to the machine's date.
///
/// `NSCondition.wait(until:)` and, on Linux, `DispatchSemaphore.wait(timeout:)` wait for a moment of the real-time clock: when that is set
/// back by an hour, they wait for an hour.
///
/// `@unchecked Sendable`: the C objects are made for use by several threads; their memory stays in place until the last reference is gone,
/// and so until nobody waits.
package final class MonotonicCondition: NSLocking, @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  package init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    let isMade = Self.withAttributes { attributes in
      pthread_mutex_init(mutex, nil) == 0 && pthread_cond_init(condition, &attributes) == 0
    }
    // POSIX knows no reason but a lack of memory.
    precondition(isMade, "no memory for a condition")
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  package func lock() {
    pthread_mutex_lock(mutex)
  }

  package func unlock() {
    pthread_mutex_unlock(mutex)
  }

  package func signal() {
    pthread_cond_signal(condition)
  }

  package func broadcast() {
    pthread_cond_broadcast(condition)
  }

  /// Waits, with the lock held, for a signal; may return without one.
  package func wait() {
    pthread_cond_wait(condition, mutex)
  }

  /// Waits, with the lock held, for a signal; may return without one.
  ///
  /// - Returns: false when so much time passed.
  package func wait(for duration: Duration) -> Bool {
    var end = Self.time(after: duration)
    return pthread_cond_timedwait(condition, mutex, &end) != ETIMEDOUT
  }

  /// Those that the condition is made with.
  static func withAttributes<Result>(_ body: (inout pthread_condattr_t) -> Result) -> Result {
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    defer { pthread_condattr_destroy(&attributes) }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    return body(&attributes)
  }

  /// By the condition's clock; at most a year from now.
  private static func time(after duration: Duration) -> timespec {
    let (seconds, attoseconds) = min(max(duration, .zero), .seconds(365 * 86400)).components
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    time.tv_sec += Int(seconds)
    time.tv_nsec += Int(attoseconds / 1_000_000_000)
    if time.tv_nsec >= 1_000_000_000 {
      time.tv_sec += 1
      time.tv_nsec -= 1_000_000_000
    }
    return time
  }
}

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
