import CZeroMQ
import Foundation

/// The connections an owner makes to one server, one after another, each with a socket of its own.
final class OwnerConnection: OwnerLink {
  private let endpoint: String
  private let ownerKey: OwnerKey
  private let options: TransportOptions
  private let attempts: SocketAttempts

  private var isEstablished = false
  /// The present socket's connection was accepted.
  private var isAccepted = false
  private var wasEverEstablished = false
  private var handshakesBrokenOff = 0
  /// An event of the socket that has not been reported yet; the socket is not used after it.
  private var ending: TransportError?

  /// A server that holds another key breaks off every handshake without a reason (CURVE tells strangers nothing), and so
  /// may one that is just stopping; three in a row are not chance.
  private static let brokenOffHandshakesThatTell = 3

  init(
    endpoint: String, ownerKeys: CurveKeyPair, serverKey: CurvePublicKey, options: TransportOptions
  ) throws(TransportError) {
    try EndpointAddress.check(endpoint, anyPort: false)
    self.endpoint = endpoint
    ownerKey = ownerKeys.ownerKey
    self.options = options
    let context = try ZeroMQContext(ioThreads: options.ioThreads)
    attempts = try SocketAttempts(endpoint: endpoint, options: options) { (number) throws(TransportError) in
      let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
      try socket.configure(options, endpoint: endpoint)
      try socket.configureOwner(keys: ownerKeys, serverKey: serverKey)
      try socket.configureAttempt(options)
      // A number each: the previous monitor's name is free only when libzmq has finished with it.
      return (socket, try SocketMonitor(socket, name: "owner-connection-\(number)", in: context))
    }
  }

  /// A refusal that has not been reported yet counts: the next `receive` reports it.
  var isHandshaking: Bool { isAccepted && !isEstablished }

  func isEstablishedNow() throws(TransportError) -> Bool {
    try noteEvents()
    return isEstablished
  }

  func send(_ message: Message) throws(TransportError) {
    let parts = MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
    let deadline = Deadline(after: options.sendTimeout)
    while true {
      try attempts.openIfDue()
      try noteEvents()
      if let ending { throw end(with: ending) }
      if let socket = attempts.socket, isEstablished {
        switch try socket.send(parts) {
        case .sent: return
        case .lostBetweenFrames: throw end(with: .peerGone(endpoint: endpoint))
        case .wouldBlock, .noSuchPeer: break
        }
      }
      guard !deadline.hasPassed else { throw .unreachable(peer: "the server at \(endpoint)") }
      let room = isEstablished ? attempts.socket : nil
      let sources = [room.map(SocketWait.Source.writable), attempts.monitor.map { .readable($0.socket) }].compactMap(
        \.self)
      try SocketWait.wait(for: sources, until: deadline.earlier(attempts.nextAttempt))
    }
  }

  func receive(timeout: Duration, wakeSignal: WakeSignal) throws(TransportError) -> Message? {
    let deadline = Deadline(after: timeout)
    while !wakeSignal.take() {
      try attempts.openIfDue()
      if let message = try nextMessage() { return message }
      try noteEvents()
      if let ending {
        // What had arrived before the connection ended is still delivered.
        if let message = try nextMessage() { return message }
        throw end(with: ending)
      }
      if deadline.hasPassed { return nil }
      let sources: [SocketWait.Source] =
        [attempts.socket.map { .readable($0) }, attempts.monitor.map { .readable($0.socket) }].compactMap(\.self)
        + [.descriptor(wakeSignal.fileDescriptor)]
      try SocketWait.wait(for: sources, until: deadline.earlier(attempts.nextAttempt))
    }
    return nil
  }

  private func nextMessage() throws(TransportError) -> Message? {
    let maximumParts = MessageEnvelope.maximumParts(options)
    guard let received = try attempts.socket?.receive(maximumParts: maximumParts) else { return nil }
    do throws(MessageEnvelope.Defect) {
      switch try MessageEnvelope.read(received.parts, options: options) {
      case .message(let message): return message
      case .keyRemoved: break
      case .serverArrived, .probe: throw .malformed
      }
    } catch {
      throw error.asError(peer: "the server at \(endpoint)", options: options)
    }
    throw end(with: .refused(endpoint: endpoint, ownerKey: ownerKey))
  }

  private func noteEvents() throws(TransportError) {
    while let event = try attempts.monitor?.next() {
      switch event {
      case .handshakeSucceeded:
        isEstablished = true
        wasEverEstablished = true
        handshakesBrokenOff = 0
        attempts.succeeded()
      case .disconnected where isEstablished:
        ending = .peerGone(endpoint: endpoint)
      case .notAdmitted:
        ending = .refused(endpoint: endpoint, ownerKey: ownerKey)
      case .accepted: isAccepted = true
      case .protocolViolated where !isEstablished:
        ending = ending ?? .notAServer(endpoint: endpoint)
      // A refusal is final for this connection, whatever is said of its end.
      case .handshakeBrokenOff where ending == nil:
        handshakesBrokenOff += 1
        // A key that has once fitted is right: then the server, or what stands before it, is away.
        if handshakesBrokenOff >= Self.brokenOffHandshakesThatTell, !wasEverEstablished {
          handshakesBrokenOff = 0
          ending = .serverKeyRejected(endpoint: endpoint)
        } else {
          discardSocket()
        }
      case .notConnected where !isEstablished && ending == nil:
        discardSocket()
      // After a loss libzmq announces its own next attempt too.
      case .notConnected, .protocolViolated, .disconnected, .acceptFailed, .handshakeBrokenOff:
        break
      }
    }
  }

  private func end(with error: TransportError) -> TransportError {
    discardSocket()
    return error
  }

  private func discardSocket() {
    attempts.discard()
    ending = nil
    isEstablished = false
    isAccepted = false
  }
}

/// What an owner's channel uses: connections to one server, one after another, made by either side.
protocol OwnerLink: AnyObject {
  /// Whether a handshake is done whose connection has not been seen to end.
  func isEstablishedNow() throws(TransportError) -> Bool

  /// Whether a connection was accepted whose handshake is neither done nor refused.
  var isHandshaking: Bool { get }

  /// As `OwnerChannel.send`.
  func send(_ message: Message) throws(TransportError)

  /// As `OwnerChannel.receive`; ends early when `wakeSignal` is given.
  func receive(timeout: Duration, wakeSignal: WakeSignal) throws(TransportError) -> Message?
}
