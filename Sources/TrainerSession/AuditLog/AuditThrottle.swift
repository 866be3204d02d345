import Transport

/// Bounds the lines of what an owner can cause as often as it likes: ten refusals and ten greetings in any ten seconds are
/// written, the rest is counted in the next.
struct AuditThrottle {
  private struct Period {
    var end: ContinuousClock.Instant
    var count = 0
    var suppressed = 0
  }

  private struct Key: Hashable {
    let owner: OwnerKey?
    let kind: AuditEvent.Kind
  }

  private static let length: Duration = .seconds(10)
  private static let writtenInPeriod = 10

  /// Owners are those that were admitted: their number is bounded by the list.
  private var periods: [Key: Period] = [:]

  /// The event as it is to be written, or nil.
  mutating func admit(_ event: AuditEvent, at now: ContinuousClock.Instant) -> AuditEvent? {
    // Refused connections were counted before they came here.
    guard event.kind == .refused || event.kind == .connectionAdmitted else { return event }
    let key = Key(owner: event.owner, kind: event.kind)
    var period = periods[key] ?? Period(end: now + Self.length)
    defer { periods[key] = period }
    if now >= period.end {
      period.end = now + Self.length
      period.count = 0
    }
    guard period.count < Self.writtenInPeriod else {
      period.suppressed += 1
      return nil
    }
    period.count += 1
    defer { period.suppressed = 0 }
    return AuditEvent(
      event.kind, owner: event.owner, job: event.job, reason: event.reason,
      suppressed: event.suppressed + period.suppressed)
  }
}
