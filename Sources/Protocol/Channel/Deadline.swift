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

extension Duration {
  /// Whole milliseconds, rounded up so that a wait never ends early and turns into a busy loop; 0 … 2³¹−1.
  var wholeMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    guard seconds < 2_000_000 else { return 2_000_000_000 }
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return Int32(seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

extension Duration {
  /// Seconds with their fraction, of at most a year.
  var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(min(seconds, 31_536_000)) + Double(attoseconds) * 1e-18
  }
}
