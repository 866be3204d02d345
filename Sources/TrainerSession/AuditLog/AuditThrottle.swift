import Transport

/// Bounds the lines of what an owner can cause as often as it likes: ten refusals and ten greetings in any ten seconds are
/// written, the rest is counted in the next.
struct AuditThrottle {
  private struct Key: Hashable {
    let owner: OwnerKey?
    let kind: AuditEvent.Kind
  }

  /// Owners are those that were admitted: their number is bounded by the list.
  private var allowances: [Key: PeriodAllowance] = [:]

  /// The event as it is to be written, or nil.
  mutating func admit(_ event: AuditEvent, at now: ContinuousClock.Instant) -> AuditEvent? {
    // Refused connections were counted before they came here.
    guard event.kind == .refused || event.kind == .connectionAdmitted else { return event }
    let key = Key(owner: event.owner, kind: event.kind)
    guard let suppressed = allowances[key, default: PeriodAllowance()].admit(at: now) else { return nil }
    return AuditEvent(
      event.kind, owner: event.owner, job: event.job, reason: event.reason,
      suppressed: event.suppressed + suppressed)
  }
}
