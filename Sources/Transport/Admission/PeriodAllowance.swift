/// Lets a bounded number of things through in any period and counts the rest, so that whoever causes them as often as it likes
/// cannot fill a log.
package struct PeriodAllowance: Sendable {
  private static let period: Duration = .seconds(10)
  private static let allowed = 10

  private var end: ContinuousClock.Instant?
  private var count = 0
  private var suppressed = 0

  package init() {}

  /// Nil for what is held back; otherwise how many were since the last one that was let through.
  package mutating func admit(at now: ContinuousClock.Instant) -> Int? {
    if end.map({ now >= $0 }) ?? true {
      end = now + Self.period
      count = 0
    }
    guard count < Self.allowed else {
      suppressed += 1
      return nil
    }
    count += 1
    defer { suppressed = 0 }
    return suppressed
  }
}
