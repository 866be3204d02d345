import CZeroMQ
import Foundation
import Glibc
import Synchronization

/// The server's end over TCP with CURVE, which serves listed keys only: a ROUTER socket where owners connect, and a DEALER socket
/// for each owner that listens itself.
///
/// What libzmq leaves open: it limits the size of a part of a message, but a message can be judged only when all its parts
/// have arrived. An owner, or a guest, with a program of its own could therefore make the server buffer much. What is sent to one that does
/// not read waits here, too, up to a number of messages of any size: whoever answers guests is to look at `unreadBytes`.
package final class ZeroMQServerEndpoint: ServerEndpoint {
  /// The address in use, with the port the system chose for port 0; nil when owners are only connected to.
  package let listeningEndpoint: String?

  private let options: TransportOptions
  private let list: AdmissionList
  private let refusals: RefusalReporter
  private let admission: AdmissionHandler
  private let wakeSignal: WakeSignal
  private let context: ZeroMQContext
  /// Nil after `close`. The lock is also the memory fence libzmq asks for when a socket changes threads.
  private let sockets: Mutex<ServerSockets?>

  /// Listens and begins to connect at once.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT`, `tcp://*:PORT` for all IPv4 interfaces; port 0 lets the system choose; nil to listen nowhere.
  ///   - owners: `tcp://HOST:PORT` of owners that listen.
  ///   - awaitsGuests: whether `admitGuests` is going to be called: until then the connections of keys that are not listed wait.
  ///   - onRefusal: called on any thread, at most 10 times in 10 seconds; the rest is counted.
  /// - Throws: `.invalidEndpoint`, `.cannotBind`, `.system`.
  package init(
    bind endpoint: String?, connect owners: [String] = [], keys: CurveKeyPair, authorized: AuthorizedKeys,
    awaitsGuests: Bool = false, options: TransportOptions = .init(),
    onRefusal: @escaping @Sendable (Refusal) -> Void = { _ in }
  ) throws(TransportError) {
    if let endpoint { try EndpointAddress.check(endpoint, anyPort: true) }
    for owner in owners { try EndpointAddress.check(owner, anyPort: false) }
    self.options = options
    list = AdmissionList(authorized.keys, awaitsGuests: awaitsGuests)
    refusals = RefusalReporter(onRefusal)
    wakeSignal = try WakeSignal()
    context = try ZeroMQContext(ioThreads: options.ioThreads)
    // libzmq numbers connections from a start it takes from rand(), which is the same in every process unless seeded. A
    // listed owner with a ZeroMQ of its own could claim a number foreseen: stop the server, or get another's messages in
    // the seconds before the server knows that one gone.
    srand(UInt32.random(in: 0...UInt32.max))
    let router = try endpoint.map { [context] (endpoint) throws(TransportError) in
      let router = try ZeroMQSocket(ZMQ_ROUTER, in: context)
      try router.configure(options, endpoint: endpoint)
      try router.configureServer(keys: keys)
      try router.configureReading(options)
      try router.configureListening()
      return router
    }
    admission = try AdmissionHandler(
      for: router, in: context, list: list, refusals: refusals, handshakeTimeout: options.handshakeTimeout)
    let sockets = ServerSockets(router: router)
    do {
      if let endpoint { try router?.bind(endpoint) }
      listeningEndpoint = try router?.lastEndpoint()
      for (number, owner) in owners.enumerated() {
        sockets.dials.append(
          try OwnerDial(
            endpoint: owner, number: UInt32(clamping: number), keys: keys, options: options, refusals: refusals,
            in: context))
      }
    } catch {
      sockets.close()
      admission.stop()
      throw error
    }
    self.sockets = Mutex(sockets)
  }

  /// `listeningEndpoint`, empty when there is none.
  package var boundEndpoint: String { listeningEndpoint ?? "" }

  deinit {
    close()
  }

  /// Replaces the list of keys served; from any thread. Connections of keys removed are served no longer.
  package func authorize(_ keys: Set<OwnerKey>) {
    list.replace(with: keys)
    admission.listChanged()
  }

  /// The same for keys that are let in beside the list's.
  package func admitGuests(_ keys: Set<OwnerKey>) {
    list.replaceGuests(with: keys)
    admission.listChanged()
  }

  /// Refusals so far, reported or not.
  package var refusalCount: Int { refusals.total }

  /// The same by `Refusal.Reason.name`, each of which is there.
  package var refusalsByReason: [String: Int] { refusals.byReason }

  package func receive(timeout: Duration) throws(TransportError) -> IncomingMessage? {
    try withSockets { (sockets) throws(TransportError) in
      let deadline = Deadline(after: timeout)
      // One more: the peer's name.
      let maximumParts = MessageEnvelope.maximumParts(options) + 1
      while !wakeSignal.take() {
        if let message = try sockets.receive(maximumParts: maximumParts) {
          if let incoming = try admit(message, sockets) { return incoming }
          if deadline.hasPassed { return nil }
          continue
        }
        if deadline.hasPassed { return nil }
        try SocketWait.wait(
          for: sockets.sources + [.descriptor(wakeSignal.fileDescriptor)],
          until: deadline.earlier(sockets.nextAttempt))
      }
      return nil
    }
  }

  package func send(_ message: Message, to peer: PeerID) throws(TransportError) {
    try options.check(message)
    try withSockets { (sockets) throws(TransportError) in
      let identity = Data(peer.routingIdentity)
      guard list.contains(peer.ownerKey) else {
        try sockets.turnAway(identity)
        throw .notAuthorized(peer.ownerKey)
      }
      let parts = MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
      guard try sockets.send(parts, to: identity) else { throw .unreachable(peer: "the owner \(peer)") }
      sockets.flows.sends(parts, to: peer.routingIdentity)
    }
  }

  package func unreadBytes(of peer: PeerID) -> Int? {
    try? withSockets { sockets in sockets.flows.unreadBytes(of: peer.routingIdentity) }
  }

  package func wake() {
    wakeSignal.signal()
  }

  package func close() {
    wake()
    let wasOpen = sockets.withLock { sockets -> Bool in
      defer { sockets = nil }
      sockets?.close()
      return sockets != nil
    }
    guard wasOpen else { return }
    admission.stop()
    context.terminate()
  }

  private func withSockets<Result: Sendable>(
    _ body: (ServerSockets) throws(TransportError) -> Result
  ) throws(TransportError) -> Result {
    let result = try sockets.withLockIfAvailable { (sockets) throws(TransportError) -> Result in
      guard let sockets else { throw .closed }
      return try body(sockets)
    }
    guard let result else { throw .concurrentUse }
    return result
  }

  /// The message with its sender, or nil when it is not to be served.
  private func admit(
    _ received: (message: ReceivedMessage, isAccepted: Bool), _ sockets: ServerSockets
  ) throws(TransportError) -> IncomingMessage? {
    let message = received.message
    guard let key = message.userID.flatMap(OwnerKey.init(z85:)) else {
      refusals.report(.handshakeFailed)
      return nil
    }
    guard let identity = message.parts.first, message.partCount > 1 else {
      refusals.report(.malformedMessage, key: key)
      return nil
    }
    // libzmq's own names are 5 bytes that start with 0. Peers with other names have chosen them.
    guard !received.isAccepted || identity.count == 5 && identity.first == 0 else {
      refusals.report(.routingIdentityClaimed, key: key)
      return nil
    }
    guard list.contains(key) else {
      refusals.report(.keyRemoved, key: key)
      try sockets.turnAway(identity)
      return nil
    }
    do {
      switch try MessageEnvelope.read(Array(message.parts.dropFirst()), options: options) {
      case .message(let frames):
        sockets.flows.receives(from: Array(identity), descriptor: message.descriptor)
        return IncomingMessage(peer: PeerID(routingIdentity: Array(identity), ownerKey: key), frames: frames)
      case .probe: break
      case .keyRemoved, .serverArrived:
        refusals.report(.malformedMessage, key: key)
      }
    } catch {
      refusals.report(error.asRefusal, key: key)
    }
    return nil
  }
}

/// The sockets of a server's end: where owners connect, and the connections to owners that listen.
final class ServerSockets {
  private let router: ZeroMQSocket?
  var dials: [OwnerDial] = []
  var flows = ConnectionFlows()
  /// Where to look first, so that a busy connection does not keep the others waiting.
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
      parts: [identity] + message.parts, partCount: message.partCount + 1, userID: message.userID,
      descriptor: message.descriptor)
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
