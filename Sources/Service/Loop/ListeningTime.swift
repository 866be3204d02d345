/// How long a service has listened to its socket. Of the time between one look and the next, which it spends on other things, a tenth of
/// a second counts at most: what arrives meanwhile waits unread.
package struct ListeningTime {
  private static let maxPause: Duration = .milliseconds(100)

  package private(set) var total = Duration.zero
  private var began: ContinuousClock.Instant?
  private var ended: ContinuousClock.Instant?

  package init() {}

  package mutating func begins(at now: ContinuousClock.Instant) {
    if let ended { total += min(ended.duration(to: now), Self.maxPause) }
    began = now
  }

  /// - Parameter timeout: of this look; a process that was stopped meanwhile has not listened for longer.
  package mutating func ends(at now: ContinuousClock.Instant, timeout: Duration) {
    if let began { total += min(began.duration(to: now), timeout + Self.maxPause) }
    ended = now
  }
}
