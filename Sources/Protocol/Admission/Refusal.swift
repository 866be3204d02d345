import Foundations
package import Foundation
import Synchronization

/// A connection or message that was not accepted.
package struct Refusal: Sendable, CustomStringConvertible {
  package enum Reason: Sendable, Equatable {
    /// The key of a new connection is not on the list.
    case keyNotListed
    /// The key of an existing connection has been taken off the list.
    case keyRemoved
    /// No valid handshake: no or another pinned key, another protocol, or random bytes.
    case handshakeFailed
    /// No frame, or too many, in a message.
    case frameCount(Int)
    case frameTooLarge(bytes: Int)
    /// A message of another version or of none.
    case malformedMessage
    /// The peer named its own connection, which owners of ours never do.
    case routingIdentityClaimed
    /// The system had no room for another connection.
    case connectionNotAccepted(code: Int32)

    /// Without the particulars, for counting: letters and underscores.
    package var name: String {
      switch self {
      case .keyNotListed: "key_not_listed"
      case .keyRemoved: "key_removed"
      case .handshakeFailed: "handshake_failed"
      case .frameCount: "frame_count"
      case .frameTooLarge: "frame_too_large"
      case .malformedMessage: "malformed_message"
      case .routingIdentityClaimed: "routing_identity_claimed"
      case .connectionNotAccepted: "connection_not_accepted"
      }
    }

    /// Every `name`.
    package static let names = [
      Reason.keyNotListed, .keyRemoved, .handshakeFailed, .frameCount(0), .frameTooLarge(bytes: 0), .malformedMessage,
      .routingIdentityClaimed, .connectionNotAccepted(code: 0),
    ].map(\.name)
  }

  package let reason: Reason
  /// The key that the peer proved, where there was one.
  package let ownerKey: OwnerKey?
  /// The peer's IP address, where it is known.
  package let address: String?
  package let time: Date
  /// Refusals since the last one reported, which were only counted.
  package let suppressed: Int

  /// The first 8 characters of the key: enough for a log.
  package var ownerKeyPrefix: String? { ownerKey?.prefix }

  package var description: String {
    var text =
      switch reason {
      case .keyNotListed: "a connection with a key that is not listed"
      case .keyRemoved: "a message under a key that is no longer listed"
      case .handshakeFailed: "a connection without a valid handshake"
      case .frameCount(let count): "a message of \(count) frames"
      case .frameTooLarge(let bytes): "a message with a frame of \(bytes) bytes"
      case .malformedMessage: "a message that cannot be read"
      case .routingIdentityClaimed: "a connection that names itself"
      case .connectionNotAccepted(let code): "a connection the system had no room for (\(SystemCode.text(code)))"
      }
    if let ownerKeyPrefix { text += ", key \(ownerKeyPrefix)…" }
    if let address { text += ", from \(address)" }
    if suppressed > 0 { text += " (and \(suppressed) more before it)" }
    return text
  }
}

/// Reports refusals to the server, at most a fixed number per period, so that a refused peer cannot fill its log.
final class RefusalReporter: Sendable {
  private struct Counts {
    var total = 0
    var byReason = Dictionary(uniqueKeysWithValues: Refusal.Reason.names.map { ($0, 0) })
    var allowance = PeriodAllowance()
  }

  private let counts = Mutex(Counts())
  private let tell: @Sendable (Refusal) -> Void

  init(_ tell: @escaping @Sendable (Refusal) -> Void) {
    self.tell = tell
  }

  /// All refusals so far, reported or not.
  var total: Int { counts.withLock(\.total) }

  /// The same by `Refusal.Reason.name`, each of which is there.
  var byReason: [String: Int] { counts.withLock(\.byReason) }

  func report(_ reason: Refusal.Reason, key: OwnerKey? = nil, address: String? = nil) {
    let suppressed: Int? = counts.withLock { counts in
      counts.total += 1
      counts.byReason[reason.name, default: 0] += 1
      return counts.allowance.admit(at: .now)
    }
    guard let suppressed else { return }
    tell(
      Refusal(
        reason: reason, ownerKey: key, address: address.map { $0.printable(limit: 64) }, time: Date(),
        suppressed: suppressed))
  }
}
