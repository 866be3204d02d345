/// How long the thread that calls MPI sleeps before it looks again. Each look takes some 30 microseconds from a core that others compute on, and
/// what they had in its caches; what has arrived waits for the next one.
struct MPINaps {
  /// In seconds. The longest one delays what arrives after long, which a step of that length does not notice.
  private static let (shortest, underWay, longest) = (50e-6, 4e-3, 10e-3)

  private(set) var next = 0.0

  /// - Parameters:
  ///   - hasMoved: something was asked for, arrived or was completed since.
  ///   - isAwaited: somebody does nothing but wait for what is under way.
  ///   - isUnderWay: MPI has something to move on.
  mutating func looked(hasMoved: Bool, isAwaited: Bool, isUnderWay: Bool) {
    if hasMoved {
      next = 0
    } else if isAwaited {
      next = Self.shortest
    } else {
      // As long again as nothing has moved: no wait takes more than twice its time.
      next = min(max(2 * next, Self.shortest), isUnderWay ? Self.underWay : Self.longest)
    }
  }

  /// Nothing can be moved on any more.
  mutating func stop() {
    next = 0.1
  }
}
