import CZeroMQ
import Foundation

/// The connections that servers make to one owner that listens. One connection is used at a time.
///
/// A ROUTER socket, because it keeps connections apart: the first server to arrive is used until its connection ends, then the next
/// of those that have arrived since. All of them hold the pinned key; two at a time are one whose end has not been noticed yet, and
/// its successor.
final class ListeningOwnerConnection: OwnerLink {
  /// The address in use, with the port the system chose for port 0.
  let boundEndpoint: String

  private let ownerKey: OwnerKey
  private let options: TransportOptions
  private let socket: ZeroMQSocket
  private let monitor: SocketMonitor

  /// The connection in use.
  private var current: Data?
  /// Others that have arrived, in that order.
  private var waiting: [Data] = []
  private var wasEverEstablished = false
  /// Set when some connection has ended: until then it is tried often whether it was the current one.
  private var suspicion: Deadline?
  /// The current connection has ended; what had arrived over it is still to be read.
  private var isGone = false
  /// What the next call reports before anything else.
  private var problem: TransportError?
  private var handshakesBrokenOff = 0

  /// libzmq reports the end of a connection some microseconds before it forgets the connection.
  private static let suspicionTime: Duration = .milliseconds(200)
  private static let probeInterval: Duration = .milliseconds(20)
  /// Between looks for room in a full queue.
  private static let pause: Duration = .milliseconds(5)
  /// Each is a connection of a server that holds the pinned key; normally there is one.
  private static let maxWaiting = 16

  /// - Throws: `.invalidEndpoint`, `.cannotBind`, `.notAnAddressHere`, `.system`.
  init(
    listen endpoint: String, ownerKeys: CurveKeyPair, serverKey: CurvePublicKey, options: TransportOptions
  ) throws(TransportError) {
    try EndpointAddress.check(endpoint, anyPort: true)
    ownerKey = ownerKeys.ownerKey
    self.options = options
    let context = try ZeroMQContext(ioThreads: options.ioThreads)
    socket = try ZeroMQSocket(ZMQ_ROUTER, in: context)
    try socket.configure(options, endpoint: endpoint)
    // Who connects is the server of CURVE all the same: the owner pins its key, and asks for admission there.
    try socket.configureOwner(keys: ownerKeys, serverKey: serverKey)
    try socket.configureListening()
    monitor = try SocketMonitor(socket, name: "owner-listening", in: context)
    do {
      try socket.bind(endpoint)
      boundEndpoint = try socket.lastEndpoint()
    } catch {
      socket.close()
      throw error
    }
  }

  deinit {
    // Before its monitor.
    socket.close()
  }

  /// Anybody may have connected to the port.
  var isHandshaking: Bool { false }

  func isEstablishedNow() throws(TransportError) -> Bool {
    try noteEvents()
    try probeIfSuspect()
    return current != nil && !isGone
  }

  func send(_ message: Message) throws(TransportError) {
    let parts = MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
    let deadline = Deadline(after: options.sendTimeout)
    // The socket counts as writable when any connection has room, also one that has not said yet what it is: when the current one was full
    // all the same, it is looked for now and then.
    var isToBeTold = true
    while true {
      // Without a current connection nothing but arrivals is read.
      if current == nil, try nextMessage() != nil { continue }
      try noteEvents()
      try probeIfSuspect()
      if let problem = takeProblem() { throw problem }
      if isGone { throw lose() }
      if let current {
        switch try socket.send([current] + parts) {
        case .sent: return
        case .noSuchPeer, .lostBetweenFrames: throw lose()
        case .wouldBlock: break
        }
      }
      guard !deadline.hasPassed else { throw .unreachable(peer: "a server that connects to \(boundEndpoint)") }
      switch current {
      case nil: try wait(for: [.readable(socket)], wakeSignal: nil, until: deadline)
      case _? where isToBeTold && waiting.isEmpty:
        try wait(for: [.writable(socket)], wakeSignal: nil, until: deadline)
        isToBeTold = false
      case _?: try wait(for: [], wakeSignal: nil, until: deadline.earlier(Deadline(after: Self.pause)))
      }
    }
  }

  func receive(timeout: Duration, wakeSignal: WakeSignal) throws(TransportError) -> Message? {
    let deadline = Deadline(after: timeout)
    while !wakeSignal.take() {
      if let message = try nextMessage() { return message }
      try noteEvents()
      try probeIfSuspect()
      if let problem = takeProblem() { throw problem }
      if isGone {
        // What had arrived before the connection ended is still delivered.
        if let message = try nextMessage() { return message }
        throw lose()
      }
      if deadline.hasPassed { return nil }
      try wait(for: [.readable(socket)], wakeSignal: wakeSignal, until: deadline)
    }
    return nil
  }

  private func wait(
    for sources: [SocketWait.Source], wakeSignal: WakeSignal?, until deadline: Deadline
  ) throws(TransportError) {
    var sources = sources + [.readable(monitor.socket)]
    if let wakeSignal { sources.append(.descriptor(wakeSignal.fileDescriptor)) }
    let until = suspicion == nil ? deadline : deadline.earlier(Deadline(after: Self.probeInterval))
    try SocketWait.wait(for: sources, until: until)
  }

  /// The next message of the current connection. Arrivals are noted; no other connection is read.
  private func nextMessage() throws(TransportError) -> Message? {
    let maximumParts = MessageEnvelope.maximumParts(options) + 1
    while let received = try socket.receive(maximumParts: maximumParts) {
      let identity = received.parts.first
      let content: MessageEnvelope.Content
      do {
        content = try MessageEnvelope.read(Array(received.parts.dropFirst()), options: options)
      } catch {
        guard identity == nil || identity == current else { continue }
        throw error.asError(peer: "the server connected to \(boundEndpoint)", options: options)
      }
      guard let identity else { continue }
      switch content {
      case .serverArrived: arrived(identity)
      case .message(let message) where identity == current: return message
      case .keyRemoved where identity == current:
        isGone = false
        proceed()
        throw .refused(endpoint: boundEndpoint, ownerKey: ownerKey)
      case .message, .keyRemoved, .probe: break
      }
    }
    return nil
  }

  private func arrived(_ identity: Data) {
    guard identity != current, !waiting.contains(identity), waiting.count < Self.maxWaiting else { return }
    waiting.append(identity)
    if current == nil { proceed() }
  }

  /// Uses the next server that has arrived, if there is one.
  private func proceed() {
    current = waiting.isEmpty ? nil : waiting.removeFirst()
    if current != nil {
      wasEverEstablished = true
      handshakesBrokenOff = 0
    }
  }

  private func lose() -> TransportError {
    isGone = false
    suspicion = nil
    proceed()
    return .peerGone(endpoint: boundEndpoint)
  }

  private func takeProblem() -> TransportError? {
    defer { problem = nil }
    return problem
  }

  private func noteEvents() throws(TransportError) {
    while let event = try monitor.next() {
      switch event {
      case .disconnected: suspicion = Deadline(after: Self.suspicionTime)
      // Anyone who reaches the port can cause this: it counts only until a server has proven the pinned key.
      case .notAdmitted where !wasEverEstablished:
        problem = .refused(endpoint: boundEndpoint, ownerKey: ownerKey)
      case .handshakeBrokenOff, .protocolViolated:
        handshakesBrokenOff += 1
        // Reported, but no reason to stop: port scans cause it too.
        if !wasEverEstablished, handshakesBrokenOff.isMultiple(of: 3) {
          problem = problem ?? .strangersOnly(endpoint: boundEndpoint)
        }
      case .acceptFailed(let code):
        problem = .system(
          operation: "accepting a connection at \(boundEndpoint)", code: Int32(truncatingIfNeeded: code),
          reason: SystemCode.text(Int32(truncatingIfNeeded: code)))
      case .accepted, .notAdmitted, .handshakeSucceeded, .notConnected: break
      }
    }
  }

  private func probeIfSuspect() throws(TransportError) {
    guard let suspicion else { return }
    if let current, !isGone { isGone = try !exists(current) }
    var present: [Data] = []
    for identity in waiting where try exists(identity) { present.append(identity) }
    waiting = present
    if suspicion.hasPassed { self.suspicion = nil }
  }

  private func exists(_ identity: Data) throws(TransportError) -> Bool {
    switch try socket.send([identity] + MessageEnvelope.probe) {
    case .noSuchPeer, .lostBetweenFrames: false
    case .sent, .wouldBlock: true
    }
  }
}
