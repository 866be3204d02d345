import Cryptography
package import Foundations
import Foundation
package import Protocol

/// Something an owner did, or was refused, that an operator may have to answer for. Never holds data.
package struct LoggedEvent: Sendable {
  package enum Kind: String, Sendable {
    /// The server began, or ended in order.
    case started, stopped
    /// A new job was taken, or its owner came back to one that is here.
    case submitted, resumed
    /// Its owner began to fetch the result.
    case retrieved
    case cancelled, released
    /// Removed for another reason.
    case removed
    /// Stopped and saved because its owner is no longer listed.
    case suspended
    /// Stopped and saved because its turn was over and another job waited.
    case turnEnded = "turn_ended"
    /// A job goes on with another kernel than it began with, as the operator allows.
    case kernelChanged = "kernel_changed"
    /// A message or a job was turned away.
    case refused
    case connectionAdmitted = "connection_admitted"
    case connectionRefused = "connection_refused"
    /// A deployment was put in force, changed by its owner, or taken down.
    case deployed, changed, undeployed
    /// A deployment's client may not ask any more.
    case clientWithdrawn = "client_withdrawn"
    /// The list of owners was read again.
    case ownersRead = "owners_read"
    /// A line that a crash left unfinished was put aside.
    case recovered
    /// Events that could neither be written nor kept until they could.
    case unlogged
  }

  package let kind: Kind
  package let owner: OwnerKey?
  package let job: JobID?
  package let reason: String?
  /// Events like this one since the last of them that were only counted.
  package let suppressed: Int

  package init(
    _ kind: Kind, owner: OwnerKey? = nil, job: JobID? = nil, reason: String? = nil, suppressed: Int = 0
  ) {
    self.kind = kind
    self.owner = owner
    self.job = job == JobID.none ? nil : job
    self.reason = reason
    self.suppressed = suppressed
  }
}

/// Bounds the lines of what an owner can cause as often as it likes: ten refusals and ten greetings in any ten seconds are
/// written, the rest is counted in the next.
struct EventLogThrottle {
  private struct Key: Hashable {
    let owner: OwnerKey?
    let kind: LoggedEvent.Kind
  }

  /// Owners are those that were admitted, and guests of any of them.
  private var allowances: [Key: PeriodAllowance] = [:]

  /// Beyond as many, those that hold nothing back any more are forgotten.
  private static let remembered = 4096

  /// The event as it is to be written, or nil.
  mutating func admit(_ event: LoggedEvent, at now: ContinuousClock.Instant) -> LoggedEvent? {
    // Refused connections were counted before they came here.
    guard event.kind == .refused || event.kind == .connectionAdmitted else { return event }
    let key = Key(owner: event.owner, kind: event.kind)
    if allowances.count >= Self.remembered { allowances = allowances.filter { $0.value.isInForce(at: now) } }
    guard let suppressed = allowances[key, default: PeriodAllowance()].admit(at: now) else { return nil }
    return LoggedEvent(
      event.kind, owner: event.owner, job: event.job, reason: event.reason,
      suppressed: event.suppressed + suppressed)
  }
}

/// A line of the event log: one JSON object with its keys in order.
struct EventLogLine: Codable, Equatable {
  /// From 1, without gaps.
  var sequence: Int
  /// UTC, ISO 8601 with milliseconds. A clock may jump, so the order of events is that of `sequence`.
  var time: String
  var event: String
  /// The owner's whole public key.
  var owner: String?
  var job: String?
  var reason: String?
  /// Events like this one that were only counted since the last.
  var suppressed: Int?
  /// SHA-256 of the line before, without its line feed, in hexadecimal; `origin` in the first.
  var previous: String

  /// What the first line has in place of the hash of a line before it.
  static let origin = String(repeating: "0", count: 64)

  /// Longer reasons are cut: a refused peer does not decide how fast the log grows.
  private static let longestReason = 300

  init(_ event: LoggedEvent, at date: Date, sequence: Int, previous: String) {
    self.sequence = sequence
    time = date.ISO8601Format(Self.timeFormat)
    self.event = event.kind.rawValue
    owner = event.owner?.z85
    job = event.job?.description
    reason = event.reason?.printable(limit: Self.longestReason)
    suppressed = event.suppressed > 0 ? event.suppressed : nil
    self.previous = previous
  }

  private static var timeFormat: Date.ISO8601FormatStyle {
    Date.ISO8601FormatStyle(includingFractionalSeconds: true)
  }

  /// Nil when `time` is none.
  var date: Date? { try? Date(time, strategy: Self.timeFormat) }

  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  static func hash(of line: some Sequence<UInt8>) -> String {
    SHA256.hash(line).bytes.hexadecimal
  }
}
