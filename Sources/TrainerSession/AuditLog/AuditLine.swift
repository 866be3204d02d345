import Cryptography
import Failures
import Foundation
import Transport
import Wire

/// A line of the audit log: one JSON object with its keys in order.
struct AuditLine: Codable, Equatable {
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

  /// What stands for the hash of a line before the first.
  static let origin = String(repeating: "0", count: 64)

  /// Longer reasons are cut: a refused peer does not decide how fast the log grows.
  private static let longestReason = 300

  init(_ event: AuditEvent, at date: Date, sequence: Int, previous: String) {
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
    SHA256.hash(line).hexadecimal
  }
}
