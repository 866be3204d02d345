import Synchronization

/// The keys served at this moment, the owners' that the operator lists and those of guests whom owners admit; replaceable while connections come and go.
final class AdmissionList: Sendable {
  enum Standing {
    case served
    case notServed
    /// Not an owner, and who the guests are is not known yet.
    case unknownYet
  }

  private struct Keys {
    var owners: Set<OwnerKey>
    /// Nil until they are known.
    var guests: Set<OwnerKey>?
  }

  private let keys: Mutex<Keys>

  /// - Parameter awaitsGuests: whether who the guests are will be said later.
  init(_ owners: Set<OwnerKey>, awaitsGuests: Bool = false) {
    keys = Mutex(Keys(owners: owners, guests: awaitsGuests ? nil : []))
  }

  func replace(with owners: Set<OwnerKey>) {
    keys.withLock { $0.owners = owners }
  }

  func replaceGuests(with guests: Set<OwnerKey>) {
    keys.withLock { $0.guests = guests }
  }

  func contains(_ key: OwnerKey) -> Bool {
    standing(of: key) == .served
  }

  func standing(of key: OwnerKey) -> Standing {
    keys.withLock { keys in
      if keys.owners.contains(key) { return .served }
      guard let guests = keys.guests else { return .unknownYet }
      return guests.contains(key) ? .served : .notServed
    }
  }
}

/// Lets at most a fixed number of events per period through and counts the rest, so that a peer that causes many cannot fill a log.
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

  /// Whether it holds anything back, or has something that was held back to tell.
  package func isInForce(at now: ContinuousClock.Instant) -> Bool {
    suppressed > 0 || end.map { now < $0 } ?? false
  }
}
