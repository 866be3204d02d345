import Synchronization

/// When an attempt has to come to an end, and whether that left anything undone.
///
/// A loop asks `hasPassed` only while it has work left, so that a yes means that work was left out: the deadline itself remembers it, and
/// no attack can forget to say so. Copies share the memory.
package struct Deadline: Sendable {
  private final class Mark: Sendable {
    let isSet = Atomic<Bool>(false)
  }

  private let end: ContinuousClock.Instant
  private let mark: Mark

  package init(after duration: Duration) {
    self.init(end: ContinuousClock().now + duration, mark: Mark())
  }

  private init(end: ContinuousClock.Instant, mark: Mark) {
    self.end = end
    self.mark = mark
  }

  /// When this share of the time that is left from now on has passed. A part of an attempt that it cuts short cuts the attempt short.
  package func after(share: Double) -> Deadline {
    let now = ContinuousClock().now
    return Deadline(end: now + max(.zero, now.duration(to: end) * share), mark: mark)
  }

  /// To be asked where there is work left, and only there.
  package var hasPassed: Bool {
    guard ContinuousClock().now >= end else { return false }
    mark.isSet.store(true, ordering: .relaxed)
    return true
  }

  /// Whether somebody with work left was told that it has passed.
  package var hasCutShort: Bool { mark.isSet.load(ordering: .relaxed) }
}
