/// How long the thread that calls MPI sleeps before it looks again. Each look costs some 30 microseconds of a core that others compute on, and
/// what has arrived waits for the next one.
struct MPINaps {
  /// In seconds, at most: while a message is on its way, piece by piece, and somebody may wait for it; while sums are, behind a backward
  /// pass; and while nothing is. The last delays what arrives after long, which a step of that length does not notice.
  private static let (shortest, withMessages, withSums, longest) = (50e-6, 1e-3, 4e-3, 10e-3)

  private(set) var next = 0.0

  /// - Parameters:
  ///   - hasMoved: something was asked for, arrived or was completed since.
  ///   - isAwaited: somebody does nothing but wait for what is under way.
  ///   - hasMessages: one is being sent or received.
  ///   - hasSums: one, or another collective operation, is under way.
  mutating func looked(hasMoved: Bool, isAwaited: Bool, hasMessages: Bool, hasSums: Bool) {
    if hasMoved {
      next = 0
    } else if isAwaited {
      next = Self.shortest
    } else {
      // As long again as nothing was complete: no wait takes more than twice its time.
      let most = hasMessages ? Self.withMessages : hasSums ? Self.withSums : Self.longest
      next = min(max(2 * next, Self.shortest), most)
    }
  }

  /// Nothing can be moved on any more.
  mutating func stop() {
    next = 0.1
  }
}
