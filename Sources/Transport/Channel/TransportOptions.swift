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
