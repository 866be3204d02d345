import CZeroMQ
import Foundation
import Glibc
import Synchronization

/// The trainer's end over TCP with CURVE: a ROUTER socket that serves listed keys only.
///
/// What libzmq leaves open: it limits the size of a part of a message, but a message can be judged only when all its parts
/// have arrived. A listed owner with a program of its own could therefore make the trainer buffer much.
package final class ZeroMQTrainerEndpoint: TrainerEndpoint {
  /// The address in use, with the port the system chose for port 0.
  package let boundEndpoint: String

  private let options: TransportOptions
  private let list: AdmissionList
  private let refusals: RefusalReporter
  private let admission: AdmissionHandler
  private let wakeSignal: WakeSignal
  private let context: ZeroMQContext
  /// Nil after `close`. The lock is also the memory fence libzmq asks for when a socket changes threads.
  private let socket: Mutex<ZeroMQSocket?>

  /// Listens at once.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT`, `tcp://*:PORT` for all IPv4 interfaces; port 0 lets the system choose.
  ///   - onRefusal: called on any thread, at most 10 times in 10 seconds; the rest is counted.
  /// - Throws: `.invalidEndpoint`, `.cannotBind`, `.system`.
  package init(
    bind endpoint: String, keys: CurveKeyPair, authorized: AuthorizedKeys, options: TransportOptions = .init(),
    onRefusal: @escaping @Sendable (Refusal) -> Void = { _ in }
  ) throws(TransportError) {
    try EndpointAddress.check(endpoint, anyPort: true)
    self.options = options
    list = AdmissionList(authorized.keys)
    refusals = RefusalReporter(onRefusal)
    wakeSignal = try WakeSignal()
    context = try ZeroMQContext(ioThreads: options.ioThreads)
    // libzmq numbers connections from a start it takes from rand(), which is the same in every process unless seeded. A
    // listed owner with a ZeroMQ of its own could claim a number foreseen: stop the trainer, or get another's messages in
    // the seconds before the trainer knows that one gone.
    srand(UInt32.random(in: 0...UInt32.max))
    let socket = try ZeroMQSocket(ZMQ_ROUTER, in: context)
    try socket.configure(options, endpoint: endpoint)
    try socket.configureTrainer(keys: keys)
    admission = try AdmissionHandler(for: socket, in: context, list: list, refusals: refusals)
    do {
      try socket.bind(endpoint)
      boundEndpoint = try socket.lastEndpoint()
    } catch {
      socket.close()
      admission.stop()
      throw error
    }
    self.socket = Mutex(socket)
  }

  deinit {
    close()
  }

  /// Replaces the list of keys served; from any thread. Connections of keys removed are served no longer.
  package func authorize(_ keys: Set<OwnerKey>) {
    list.replace(with: keys)
  }

  /// Refusals so far, told or not.
  package var refusalCount: Int { refusals.total }

  /// The same by `Refusal.Reason.name`, each of which is there.
  package var refusalsByReason: [String: Int] { refusals.byReason }

  package func receive(timeout: Duration) throws(TransportError) -> IncomingMessage? {
    try withSocket { (socket) throws(TransportError) in
      let deadline = Deadline(after: timeout)
      // One more: the peer's name.
      let maximumParts = MessageEnvelope.maximumParts(options) + 1
      while !wakeSignal.take() {
        if let message = try socket.receive(maximumParts: maximumParts) {
          if let incoming = try admit(message, from: socket) { return incoming }
          if deadline.hasPassed { return nil }
          continue
        }
        if deadline.hasPassed { return nil }
        try SocketWait.wait(for: [.readable(socket), .descriptor(wakeSignal.fileDescriptor)], until: deadline)
      }
      return nil
    }
  }

  package func send(_ message: Message, to peer: PeerID) throws(TransportError) {
    try options.check(message)
    try withSocket { (socket) throws(TransportError) in
      guard list.contains(peer.ownerKey) else {
        try turnAway(Data(peer.routingIdentity), on: socket)
        throw .notAuthorized(peer.ownerKey)
      }
      let parts = MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
      guard try socket.send([Data(peer.routingIdentity)] + parts) == .sent else {
        throw .unreachable(peer: "the owner \(peer)")
      }
    }
  }

  package func wake() {
    wakeSignal.signal()
  }

  package func close() {
    wake()
    let wasOpen = socket.withLock { socket -> Bool in
      defer { socket = nil }
      socket?.close()
      return socket != nil
    }
    guard wasOpen else { return }
    admission.stop()
    context.terminate()
  }

  private func withSocket<Result: Sendable>(
    _ body: (ZeroMQSocket) throws(TransportError) -> Result
  ) throws(TransportError) -> Result {
    let result = try socket.withLockIfAvailable { (socket) throws(TransportError) -> Result in
      guard let socket else { throw .closed }
      return try body(socket)
    }
    guard let result else { throw .concurrentUse }
    return result
  }

  /// The message with its sender, or nil when it is not to be served.
  private func admit(
    _ message: ReceivedMessage, from socket: ZeroMQSocket
  ) throws(TransportError) -> IncomingMessage? {
    guard let key = message.userID.flatMap(OwnerKey.init(z85:)) else {
      refusals.report(.handshakeFailed)
      return nil
    }
    guard let identity = message.parts.first, message.partCount > 1 else {
      refusals.report(.malformedMessage, key: key)
      return nil
    }
    // libzmq's own names are 5 bytes that start with 0. Peers with other names have chosen them.
    guard identity.count == 5, identity.first == 0 else {
      refusals.report(.routingIdentityClaimed, key: key)
      return nil
    }
    guard list.contains(key) else {
      refusals.report(.keyRemoved, key: key)
      try turnAway(identity, on: socket)
      return nil
    }
    do {
      switch try MessageEnvelope.read(Array(message.parts.dropFirst()), options: options) {
      case .message(let frames):
        return IncomingMessage(peer: PeerID(routingIdentity: Array(identity), ownerKey: key), frames: frames)
      case .keyRemoved:
        refusals.report(.malformedMessage, key: key)
      }
    } catch {
      refusals.report(error.asRefusal, key: key)
    }
    return nil
  }

  /// Tells a connection that its key is no longer listed, if it takes messages at all.
  private func turnAway(_ identity: Data, on socket: ZeroMQSocket) throws(TransportError) {
    _ = try socket.send([identity] + MessageEnvelope.keyRemoved)
  }
}
