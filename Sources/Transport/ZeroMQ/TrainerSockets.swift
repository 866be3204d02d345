import Foundation

/// The sockets of a trainer's end: where owners connect, and the connections to owners that listen.
final class TrainerSockets {
  private let router: ZeroMQSocket?
  var dials: [OwnerDial] = []
  /// Where to look first, so that nobody with much to say keeps the others from being heard.
  private var turn = 0

  init(router: ZeroMQSocket?) {
    self.router = router
  }

  var sources: [SocketWait.Source] {
    [router.map { .readable($0) }].compactMap(\.self) + dials.flatMap(\.sources)
  }

  /// When the next connection is due to be tried.
  var nextAttempt: Deadline? {
    dials.reduce(nil) { earliest, dial in dial.nextAttempt?.earlier(earliest) ?? earliest }
  }

  /// The next message of any connection, its first part the connection's name; `isAccepted` when the owner made the connection.
  func receive(maximumParts: Int) throws(TransportError) -> (message: ReceivedMessage, isAccepted: Bool)? {
    let places = dials.count + 1
    for offset in 0..<places {
      let place = (turn + offset) % places
      if let message = try receive(at: place, maximumParts: maximumParts) {
        turn = (place + 1) % places
        return (message, place == dials.count)
      }
    }
    return nil
  }

  private func receive(at place: Int, maximumParts: Int) throws(TransportError) -> ReceivedMessage? {
    guard dials.indices.contains(place) else { return try router?.receive(maximumParts: maximumParts) }
    let dial = dials[place]
    // Before receiving, which may end the connection.
    let identity = Data(dial.identity)
    guard let message = try dial.receive(maximumParts: maximumParts - 1) else { return nil }
    return ReceivedMessage(
      parts: [identity] + message.parts, partCount: message.partCount + 1, userID: message.userID)
  }

  /// False when there is no such connection, or no room in its queue; the message is lost.
  func send(_ parts: [Data], to identity: Data) throws(TransportError) -> Bool {
    if let dial = dial(of: identity) { return try dial.send(parts) }
    return try router?.send([identity] + parts) == .sent
  }

  /// Tells a connection that its key is no longer listed, if it takes messages at all.
  func turnAway(_ identity: Data) throws(TransportError) {
    if let dial = dial(of: identity) {
      try dial.turnAway(MessageEnvelope.keyRemoved)
    } else {
      _ = try send(MessageEnvelope.keyRemoved, to: identity)
    }
  }

  func close() {
    for dial in dials { dial.close() }
    router?.close()
  }

  private func dial(of identity: Data) -> OwnerDial? {
    dials.first { $0.identity.elementsEqual(identity) }
  }
}
