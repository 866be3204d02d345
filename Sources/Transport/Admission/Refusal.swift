package import struct Foundation.Date

/// Somebody or something that was not served.
package struct Refusal: Sendable, CustomStringConvertible {
  package enum Reason: Sendable, Equatable {
    /// The key of a new connection is not on the list.
    case keyNotListed
    /// The key of an existing connection has been taken off the list.
    case keyRemoved
    /// No valid handshake: no or another pinned key, another protocol, or random bytes.
    case handshakeFailed
    /// Too many frames in a message.
    case frameCount(Int)
    /// The peer named its own connection, which owners of ours never do.
    case routingIdentityClaimed
    /// The system had no room for another connection.
    case connectionNotAccepted(code: Int32)
  }

  package let reason: Reason
  /// The first 8 characters of the key, where there was one.
  package let ownerKeyPrefix: String?
  /// The peer's IP address, where it is known.
  package let address: String?
  package let time: Date
  /// Refusals since the last one told that were only counted.
  package let suppressed: Int

  package var description: String {
    var text =
      switch reason {
      case .keyNotListed: "a connection with a key that is not listed"
      case .keyRemoved: "a message under a key that is no longer listed"
      case .handshakeFailed: "a connection without a valid handshake"
      case .frameCount(let count): "a message of \(count) frames"
      case .routingIdentityClaimed: "a connection that names itself"
      case .connectionNotAccepted(let code): "a connection the system had no room for (\(SystemCode.text(code)))"
      }
    if let ownerKeyPrefix { text += ", key \(ownerKeyPrefix)…" }
    if let address { text += ", from \(address)" }
    if suppressed > 0 { text += " (and \(suppressed) more before it)" }
    return text
  }
}
