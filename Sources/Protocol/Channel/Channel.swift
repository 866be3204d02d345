package import struct Foundation.Data
import Foundations

/// One multipart message: 1 or more frames, delivered whole or not at all, in the order sent on one connection.
///
/// Frames that arrived over ZeroMQ keep the library's own buffer; nothing is promised about the alignment of their first
/// byte, so read numbers with unaligned loads or copy them out.
package typealias Message = [Data]

/// One connection of one owner; an owner that reconnects is a new peer with the same key.
package struct PeerID: Hashable, Sendable, CustomStringConvertible {
  /// The name the server's side gave the connection; never given twice while the endpoint lives.
  package let routingIdentity: [UInt8]
  /// Proven by the connection's handshake, not claimed by the peer.
  package let ownerKey: OwnerKey

  package init(routingIdentity: [UInt8], ownerKey: OwnerKey) {
    self.routingIdentity = routingIdentity
    self.ownerKey = ownerKey
  }

  /// Enough to tell connections apart in a log.
  package var description: String {
    "\(ownerKey.prefix)#\(routingIdentity.hexadecimal)"
  }
}

/// A message together with the connection it came over.
package struct IncomingMessage: Sendable {
  package let peer: PeerID
  package let frames: Message

  package init(peer: PeerID, frames: Message) {
    self.peer = peer
    self.frames = frames
  }
}

/// The owner's end: a connection to one server, re-established by itself whenever it is lost.
///
/// A lost connection loses what was under way in both directions, and nothing sent over it is delivered later over the next
/// one. The loss is reported once, by `TransportError.peerGone` from the next `send` or `receive`; the server then sees a
/// peer it does not know yet.
///
/// Used from one thread at a time (a call made while another thread is inside one throws `.concurrentUse` rather than
/// wait); `wake` and `close` may be called from any thread, which is why a channel is Sendable.
package protocol OwnerChannel: AnyObject, Sendable {
  /// Whether the handshake with the server is done and the connection has not been seen to end.
  var isConnected: Bool { get }

  /// Whether a connection was accepted whose handshake is neither done nor refused. It ends within
  /// `TransportOptions.handshakeTimeout`.
  var isHandshaking: Bool { get }

  /// Whether this end listens, and the server connects to it.
  var isListening: Bool { get }

  /// What is wrong with the server's address, as far as that is known yet.
  var addressProblem: String? { get }

  /// Hands a message over for sending, waiting for a connection and for room in the queue.
  ///
  /// - Throws: `.unreachable` when there is neither after `TransportOptions.sendTimeout`; `.peerGone`, `.refused`,
  ///   `.serverKeyRejected` and `.notAServer` as `receive`; `.frameTooLarge` and `.frameCount` for a message that the
  ///   server would not take. The message is not sent, or was lost with the connection, in all of them.
  func send(_ message: Message) throws(TransportError)

  /// The next message, or nil when none came within `timeout` or `wake` was called.
  ///
  /// - Throws: `.peerGone` once for every connection lost, after what had arrived over it; `.refused` when the server does
  ///   not admit this owner's key; `.serverKeyRejected` when it does not hold the pinned key; `.notAServer` when something
  ///   else listens there; `.malformedMessage`, `.frameCount` and `.frameTooLarge` for a message of the server's, which is
  ///   dropped; `.closed` after `close`. All but the last leave the channel usable: it keeps trying.
  func receive(timeout: Duration) throws(TransportError) -> Message?

  /// Makes a `receive` under way, or else the next one, return nil at once.
  func wake()

  /// Ends the connection after sending what is queued, for at most `TransportOptions.linger`.
  func close()
}

extension OwnerChannel {
  package var isHandshaking: Bool { false }

  package var isListening: Bool { false }

  package var addressProblem: String? { nil }
}

/// The server's end: any number of owners, each known by the key its connection was admitted with.
///
/// Used from one thread at a time (a call made while another thread is inside one throws `.concurrentUse` rather than
/// wait); `wake` and `close` may be called from any thread, which is why an endpoint is Sendable.
///
/// The loss of an owner shows in `send`, not in `receive`: ZeroMQ drops a peer that stops answering heartbeats and from then
/// on refuses messages to it. To notice an owner that only listens, send it something now and then.
package protocol ServerEndpoint: AnyObject, Sendable {
  /// The next message of any owner, or nil when none came within `timeout` or `wake` was called.
  func receive(timeout: Duration) throws(TransportError) -> IncomingMessage?

  /// Queues a message for one connection; never waits.
  ///
  /// - Throws: `.unreachable` when that connection is gone or its queue is full (the message is dropped);
  ///   `.notAuthorized` when its key has been removed from the list; `.frameTooLarge`, `.frameCount`, `.closed`.
  func send(_ message: Message, to peer: PeerID) throws(TransportError)

  /// Bytes that were handed to `send` for a connection and that the peer's machine has not taken, about; nil where that cannot be told. Of
  /// whoever reads all the time few.
  func unreadBytes(of peer: PeerID) -> Int?

  /// Lets these keys in, in place of those of the call before, beside the owners that the operator lists; from any thread. Connections of
  /// keys that are neither are served no longer. Does nothing where everybody is let in.
  func admitGuests(_ keys: Set<OwnerKey>)

  /// Makes a `receive` under way, or else the next one, return nil at once.
  func wake()

  /// Ends all connections after sending what is queued, for at most `TransportOptions.linger`.
  func close()
}

extension ServerEndpoint {
  package func unreadBytes(of peer: PeerID) -> Int? { nil }

  package func admitGuests(_ keys: Set<OwnerKey>) {}
}

/// Limits and times of one end. Both ends should agree on the limits; each enforces its own.
package struct TransportOptions: Sendable {
  /// The largest frame sent or accepted.
  package var maximumFrameBytes = 64 << 20
  /// The most frames in a message; a message with more is dropped and reported.
  package var maximumFrames = 64
  /// Messages queued for sending to one peer.
  package var sendQueueMessages = 64
  /// Messages of one peer that wait to be received. A peer that has more under way is no longer read from, which also
  /// stops its heartbeats: keep the credits given to a peer below this number.
  package var receiveQueueMessages = 64
  /// How long `OwnerChannel.send` waits for a connection and for room.
  package var sendTimeout: Duration = .seconds(30)
  /// An idle connection is probed this often.
  package var heartbeatInterval: Duration = .seconds(2)
  /// A probe unanswered for so long ends the connection.
  package var heartbeatTimeout: Duration = .seconds(6)
  /// A connection whose other end takes nothing of what a server sends ends after so long.
  package var unreadTimeout: Duration = .seconds(30)
  /// How long a connection may take to prove its key.
  package var handshakeTimeout: Duration = .seconds(10)
  /// How long one attempt to connect may take.
  package var connectTimeout: Duration = .seconds(5)
  /// The pause before the first new attempt; it doubles up to `maximumReconnectInterval`.
  package var reconnectInterval: Duration = .milliseconds(100)
  package var maximumReconnectInterval: Duration = .seconds(2)
  /// How long `close` may go on sending what is queued.
  package var linger: Duration = .seconds(2)
  /// Threads that encrypt and decrypt; one connection is always served by one of them.
  package var ioThreads = 1

  /// Larger frames travel in pieces of this size, the same at both ends, and are copied together on arrival; smaller ones
  /// are not copied. A piece must cross the link within `heartbeatTimeout`: 4 MiB in 6 s are 5.6 Mbit/s.
  package var pieceBytes = 4 << 20

  package init() {}

  /// - Throws: `.frameCount` or `.frameTooLarge` when the other end would not accept the message.
  func check(_ message: Message) throws(TransportError) {
    guard (1...max(1, maximumFrames)).contains(message.count) else {
      throw .frameCount(message.count, maximum: maximumFrames)
    }
    for frame in message where frame.count > maximumFrameBytes {
      throw .frameTooLarge(bytes: frame.count, maximum: maximumFrameBytes)
    }
  }
}

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
