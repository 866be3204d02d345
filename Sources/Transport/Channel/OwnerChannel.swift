/// The owner's end: a connection to one trainer, re-established by itself whenever it is lost.
///
/// A lost connection loses what was under way in both directions, and nothing sent over it is delivered later over the next
/// one. The loss is told once, by `TransportError.peerGone` from the next `send` or `receive`; the trainer then sees a
/// peer it does not know yet.
///
/// Used from one thread at a time (a call made while another thread is inside one throws `.concurrentUse` rather than
/// wait); `wake` and `close` may be called from any thread, which is why a channel is Sendable.
package protocol OwnerChannel: AnyObject, Sendable {
  /// Whether the handshake with the trainer is done and the connection has not been seen to end.
  var isConnected: Bool { get }

  /// Whether somebody has accepted a connection whose handshake is neither done nor refused. It ends within
  /// `TransportOptions.handshakeTimeout`.
  var isDeciding: Bool { get }

  /// Whether it is for the trainer to connect.
  var isAwaiting: Bool { get }

  /// What is wrong with the trainer's address, as far as that is known yet.
  var addressProblem: String? { get }

  /// Hands a message over for sending, waiting for a connection and for room in the queue.
  ///
  /// - Throws: `.unreachable` when there is neither after `TransportOptions.sendTimeout`; `.peerGone`, `.refused`,
  ///   `.trainerKeyRejected` and `.notATrainer` as `receive`; `.frameTooLarge` and `.frameCount` for a message that the
  ///   trainer would not take. The message is not sent, or was lost with the connection, in all of them.
  func send(_ message: Message) throws(TransportError)

  /// The next message, or nil when none came within `timeout` or `wake` was called.
  ///
  /// - Throws: `.peerGone` once for every connection lost, after what had arrived over it; `.refused` when the trainer does
  ///   not admit this owner's key; `.trainerKeyRejected` when it does not hold the pinned key; `.notATrainer` when something
  ///   else listens there; `.malformedMessage`, `.frameCount` and `.frameTooLarge` for a message of the trainer's, which is
  ///   dropped; `.closed` after `close`. All but the last leave the channel usable: it keeps trying.
  func receive(timeout: Duration) throws(TransportError) -> Message?

  /// Makes a `receive` under way, or else the next one, return nil at once.
  func wake()

  /// Ends the connection after sending what is queued, for at most `TransportOptions.linger`.
  func close()
}

extension OwnerChannel {
  package var isDeciding: Bool { false }

  package var isAwaiting: Bool { false }

  package var addressProblem: String? { nil }
}
