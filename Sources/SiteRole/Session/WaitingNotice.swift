/// Says now and then that a site waits: after ten seconds in which nothing was asked of it, and then once a minute.
struct WaitingNotice {
  private static let first = Duration.seconds(10)
  private static let later = Duration.seconds(60)

  private var since: ContinuousClock.Instant
  private var next = first

  init(at now: ContinuousClock.Instant) {
    since = now
  }

  /// - Returns: how long it has been, when it is time to say so.
  mutating func due(at now: ContinuousClock.Instant) -> Duration? {
    let waited = since.duration(to: now)
    guard waited >= next else { return nil }
    next = waited + Self.later
    return waited
  }

  /// Something was asked.
  mutating func reset(at now: ContinuousClock.Instant) {
    since = now
    next = Self.first
  }
}
