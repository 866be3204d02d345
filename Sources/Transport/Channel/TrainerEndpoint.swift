/// The trainer's end: any number of owners, each known by the key its connection was admitted with.
///
/// Used from one thread at a time (a call made while another thread is inside one throws `.concurrentUse` rather than
/// wait); `wake` and `close` may be called from any thread, which is why an endpoint is Sendable.
///
/// The loss of an owner shows in `send`, not in `receive`: ZeroMQ drops a peer that stops answering heartbeats and from then
/// on refuses messages to it. To notice an owner that only listens, send it something now and then.
package protocol TrainerEndpoint: AnyObject, Sendable {
  /// The next message of any owner, or nil when none came within `timeout` or `wake` was called.
  func receive(timeout: Duration) throws(TransportError) -> IncomingMessage?

  /// Queues a message for one connection; never waits.
  ///
  /// - Throws: `.unreachable` when that connection is gone or its queue is full (the message is dropped);
  ///   `.notAuthorized` when its key has been removed from the list; `.frameTooLarge`, `.frameCount`, `.closed`.
  func send(_ message: Message, to peer: PeerID) throws(TransportError)

  /// Makes a `receive` under way, or else the next one, return nil at once.
  func wake()

  /// Ends all connections after sending what is queued, for at most `TransportOptions.linger`.
  func close()
}
