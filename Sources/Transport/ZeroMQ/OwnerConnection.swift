import CZeroMQ
import Foundation

/// The connections an owner makes to one trainer, one after another, each with a socket of its own.
///
/// libzmq would reconnect a socket by itself, but then either sends over the new connection what was queued for the old one,
/// or (`ZMQ_IMMEDIATE`) throws away what had arrived over it, and after a refusal it never tries again. With one socket for
/// each attempt, what was queued ends with its connection and what had arrived is still delivered.
final class OwnerConnection {
  private let endpoint: String
  private let ownerKeys: CurveKeyPair
  private let trainerKey: CurvePublicKey
  private let options: TransportOptions
  private let context: ZeroMQContext

  private var socket: ZeroMQSocket?
  private var monitor: SocketMonitor?
  private var socketsOpened = 0
  /// While there is no socket: when to make the next, and how much later the one after it.
  private var nextAttempt: Deadline?
  private var pause: Duration

  private var isEstablished = false
  private var wasEverEstablished = false
  private var handshakesBrokenOff = 0
  /// What has happened to the socket and has not been told yet; the socket is then of no further use.
  private var ending: TransportError?

  /// A trainer that holds another key breaks off every handshake without a word (CURVE tells strangers nothing), and so
  /// may one that is just stopping; three in a row are not chance.
  private static let brokenOffHandshakesThatTell = 3

  init(
    endpoint: String, ownerKeys: CurveKeyPair, trainerKey: CurvePublicKey, options: TransportOptions
  ) throws(TransportError) {
    try EndpointAddress.check(endpoint, anyPort: false)
    self.endpoint = endpoint
    self.ownerKeys = ownerKeys
    self.trainerKey = trainerKey
    self.options = options
    pause = options.reconnectInterval
    context = try ZeroMQContext(ioThreads: options.ioThreads)
    try open()
  }

  deinit {
    // Before its monitor.
    socket?.close()
  }

  func isEstablishedNow() throws(TransportError) -> Bool {
    try noteEvents()
    return isEstablished
  }

  func send(_ message: Message) throws(TransportError) {
    let parts = MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
    let deadline = Deadline(after: options.sendTimeout)
    while true {
      try openIfDue()
      try noteEvents()
      if let ending { throw end(with: ending) }
      if let socket, isEstablished {
        switch try socket.send(parts) {
        case .sent: return
        case .lostBetweenFrames: throw end(with: .peerGone(endpoint: endpoint))
        case .wouldBlock, .noSuchPeer: break
        }
      }
      guard !deadline.hasPassed else { throw .unreachable(peer: "the trainer at \(endpoint)") }
      let room = isEstablished ? socket : nil
      let sources = [room.map(SocketWait.Source.writable), monitor.map { .readable($0.socket) }].compactMap(\.self)
      try SocketWait.wait(for: sources, until: deadline.earlier(nextAttempt))
    }
  }

  func receive(timeout: Duration, wakeSignal: WakeSignal) throws(TransportError) -> Message? {
    let deadline = Deadline(after: timeout)
    while !wakeSignal.take() {
      try openIfDue()
      if let message = try nextMessage() { return message }
      try noteEvents()
      if let ending {
        // What had arrived before the connection ended is still delivered.
        if let message = try nextMessage() { return message }
        throw end(with: ending)
      }
      if deadline.hasPassed { return nil }
      let sources: [SocketWait.Source] =
        [socket.map { .readable($0) }, monitor.map { .readable($0.socket) }].compactMap(\.self)
        + [.descriptor(wakeSignal.fileDescriptor)]
      try SocketWait.wait(for: sources, until: deadline.earlier(nextAttempt))
    }
    return nil
  }

  private func nextMessage() throws(TransportError) -> Message? {
    let maximumParts = MessageEnvelope.maximumParts(options)
    guard let received = try socket?.receive(maximumParts: maximumParts) else { return nil }
    do {
      switch try MessageEnvelope.read(received.parts, options: options) {
      case .message(let message): return message
      case .keyRemoved: break
      }
    } catch {
      throw error.asError(peer: "the trainer at \(endpoint)", options: options)
    }
    throw end(with: .refused(endpoint: endpoint, ownerKey: ownerKeys.ownerKey))
  }

  private func noteEvents() throws(TransportError) {
    while let event = try monitor?.next() {
      switch event {
      case .handshakeSucceeded:
        isEstablished = true
        wasEverEstablished = true
        handshakesBrokenOff = 0
        pause = options.reconnectInterval
      case .disconnected where isEstablished:
        ending = .peerGone(endpoint: endpoint)
      case .notAdmitted:
        ending = .refused(endpoint: endpoint, ownerKey: ownerKeys.ownerKey)
      case .protocolViolated where !isEstablished:
        ending = ending ?? .notATrainer(endpoint: endpoint)
      case .handshakeBrokenOff:
        handshakesBrokenOff += 1
        // A key that has once fitted is right: then the trainer, or what stands before it, is away.
        if handshakesBrokenOff >= Self.brokenOffHandshakesThatTell, !wasEverEstablished {
          handshakesBrokenOff = 0
          ending = .trainerKeyRejected(endpoint: endpoint)
        } else {
          discardSocket()
        }
      case .notConnected where !isEstablished && ending == nil:
        discardSocket()
      // After a loss libzmq announces its own next attempt too.
      case .notConnected, .protocolViolated, .disconnected, .acceptFailed:
        break
      }
    }
  }

  private func end(with error: TransportError) -> TransportError {
    discardSocket()
    return error
  }

  /// Gives up the socket with all that is queued in it; the next is made after a pause that grows with each failure.
  private func discardSocket() {
    // Nothing may linger: it would reach the trainer after the loss has been told.
    try? socket?.set(ZMQ_LINGER, 0)
    socket?.close()
    socket = nil
    monitor = nil
    ending = nil
    isEstablished = false
    nextAttempt = Deadline(after: pause)
    pause = min(pause * 2, options.maximumReconnectInterval)
  }

  private func openIfDue() throws(TransportError) {
    if socket == nil, nextAttempt?.hasPassed ?? true { try open() }
  }

  private func open() throws(TransportError) {
    let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
    try socket.configure(options, endpoint: endpoint)
    try socket.configureOwner(keys: ownerKeys, trainerKey: trainerKey, options: options)
    socketsOpened += 1
    // A number each: the previous monitor's name is free only when libzmq has finished with it.
    let monitor = try SocketMonitor(socket, name: "owner-connection-\(socketsOpened)", in: context)
    try socket.connect(endpoint)
    self.socket = socket
    self.monitor = monitor
    nextAttempt = nil
  }
}
