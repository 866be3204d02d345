/// What an owner's channel stands on: connections to one trainer, one after another, made by either side.
protocol OwnerLink: AnyObject {
  /// Whether a handshake is done whose connection has not been seen to end.
  func isEstablishedNow() throws(TransportError) -> Bool

  /// Whether a connection was accepted whose handshake is neither done nor refused.
  var isDeciding: Bool { get }

  /// As `OwnerChannel.send`.
  func send(_ message: Message) throws(TransportError)

  /// As `OwnerChannel.receive`; ends early when `wakeSignal` is given.
  func receive(timeout: Duration, wakeSignal: WakeSignal) throws(TransportError) -> Message?
}
