/// A moment until which to wait.
struct Deadline {
  private let moment: ContinuousClock.Instant

  /// Longer than any wait; keeps a huge duration from overflowing the clock's arithmetic.
  private static let longest = Duration.seconds(365 * 86_400)

  init(after duration: Duration) {
    moment = ContinuousClock.now + min(max(duration, .zero), Self.longest)
  }

  var hasPassed: Bool { ContinuousClock.now >= moment }

  var remaining: Duration { max(moment - ContinuousClock.now, .zero) }

  func earlier(_ other: Deadline?) -> Deadline {
    guard let other, other.moment < moment else { return self }
    return other
  }
}
