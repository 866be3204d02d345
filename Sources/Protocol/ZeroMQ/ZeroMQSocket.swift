import CZeroMQ
import Foundation
import Glibc
import Synchronization

/// One libzmq socket. Not Sendable: libzmq allows one thread at a time, with a lock or a thread's start in between.
final class ZeroMQSocket {
  /// Nil once closed; libzmq answers calls without a socket with an error.
  private(set) var pointer: UnsafeMutableRawPointer?
  /// Keeps the context from ending before its sockets.
  private let context: ZeroMQContext

  enum SendOutcome {
    case sent
    /// No connection or no room; nothing was sent.
    case wouldBlock
    /// There is no such peer; nothing was sent.
    case noSuchPeer
    /// The connection went away between two frames; the message is lost.
    case lostBetweenFrames
  }

  /// - Parameter type: `ZMQ_DEALER` and so on.
  init(_ type: Int32, in context: ZeroMQContext) throws(TransportError) {
    guard let pointer = zmq_socket(context.pointer, type) else { throw ZeroMQFailure.last("opening a ZeroMQ socket") }
    self.pointer = pointer
    self.context = context
  }

  deinit {
    close()
  }

  /// Goes on sending what is queued, for the linger time, in the background. Call before what observes it ends: libzmq's I/O thread waits,
  /// and with it every connection of the context, when it has an event to tell and nobody listens any more.
  func close() {
    guard let pointer else { return }
    zmq_socket_monitor(pointer, nil, 0)
    zmq_close(pointer)
    self.pointer = nil
  }

  // MARK: Options

  func set(_ option: Int32, _ value: Int32) throws(TransportError) {
    var value = value
    try check(zmq_setsockopt(pointer, option, &value, MemoryLayout<Int32>.size), option)
  }

  func set(_ option: Int32, wide value: Int64) throws(TransportError) {
    var value = value
    try check(zmq_setsockopt(pointer, option, &value, MemoryLayout<Int64>.size), option)
  }

  func set(_ option: Int32, bytes: [UInt8]) throws(TransportError) {
    try check(zmq_setsockopt(pointer, option, bytes, bytes.count), option)
  }

  func set(_ option: Int32, borrowed bytes: UnsafeRawBufferPointer) throws(TransportError) {
    try check(zmq_setsockopt(pointer, option, bytes.baseAddress, bytes.count), option)
  }

  private func check(_ result: Int32, _ option: Int32) throws(TransportError) {
    guard result == 0 else { throw ZeroMQFailure.last("setting ZeroMQ option \(option)") }
  }

  /// The address bound last, with the port the system chose.
  func lastEndpoint() throws(TransportError) -> String {
    var text = [UInt8](repeating: 0, count: 1_024)
    var count = text.count
    guard zmq_getsockopt(pointer, ZMQ_LAST_ENDPOINT, &text, &count) == 0 else {
      throw ZeroMQFailure.last("reading the address bound")
    }
    return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
  }

  // MARK: Connections

  func bind(_ endpoint: String) throws(TransportError) {
    guard zmq_bind(pointer, endpoint) == 0 else {
      let code = zmq_errno()
      // libzmq's "No such device": it takes a host that it cannot resolve for the name of a network interface.
      if code == ENODEV || code == EADDRNOTAVAIL { throw .notAnAddressHere(endpoint: endpoint) }
      throw .cannotBind(endpoint: endpoint, reason: String(cString: zmq_strerror(code)))
    }
  }

  func connect(_ endpoint: String) throws(TransportError) {
    guard zmq_connect(pointer, endpoint) == 0 else {
      throw zmq_errno() == EINVAL ? .invalidEndpoint(endpoint) : ZeroMQFailure.last("connecting to \(endpoint)")
    }
  }

  // MARK: Messages

  /// The next message if there is one; never waits.
  func receive(maximumParts: Int) throws(TransportError) -> ReceivedMessage? {
    var parts: [Data] = []
    var count = 0
    while true {
      let frame = ReceivedFrame()
      if zmq_msg_recv(frame.message, pointer, ZMQ_DONTWAIT) < 0 {
        switch zmq_errno() {
        case EINTR: continue
        // Messages arrive whole, so this can only be the first frame.
        case EAGAIN where count == 0: return nil
        default: throw ZeroMQFailure.last("receiving")
        }
      }
      count += 1
      if count <= maximumParts { parts.append(frame.bytes()) } else { parts = [] }
      guard frame.hasMore else {
        // Of the last frame: libzmq makes the first one, the peer's name, itself and not always with the properties.
        return ReceivedMessage(parts: parts, partCount: count, userID: frame.userID, descriptor: frame.descriptor)
      }
    }
  }

  /// Sends a message if that is possible at once; never waits.
  func send(_ parts: [Data]) throws(TransportError) -> SendOutcome {
    for (index, part) in parts.enumerated() {
      let flags = ZMQ_DONTWAIT | (index + 1 < parts.count ? ZMQ_SNDMORE : 0)
      guard send(part, flags: flags) != 0 else { continue }
      switch zmq_errno() {
      case EAGAIN: return index == 0 ? .wouldBlock : .lostBetweenFrames
      case EHOSTUNREACH: return index == 0 ? .noSuchPeer : .lostBetweenFrames
      default: throw ZeroMQFailure.last("sending")
      }
    }
    return .sent
  }

  /// 0, or −1 with libzmq's error number set.
  private func send(_ part: Data, flags: Int32) -> Int32 {
    withUnsafeTemporaryAllocation(of: zmq_msg_t.self, capacity: 1) { allocation in
      guard let message = allocation.baseAddress, SentFrame.initialize(message, with: part) == 0 else { return -1 }
      while zmq_msg_send(message, pointer, flags) < 0 {
        if zmq_errno() == EINTR { continue }
        let code = zmq_errno()
        // Closing gives the bytes back and must not hide why sending failed.
        zmq_msg_close(message)
        errno = code
        return -1
      }
      return 0
    }
  }
}

/// A libzmq context: its I/O threads, and the namespace of its `inproc://` names.
///
/// libzmq documents contexts as thread-safe, and the pointer never changes; hence `@unchecked Sendable`.
final class ZeroMQContext: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
  private let isTerminated = Atomic(false)

  init(ioThreads: Int) throws(TransportError) {
    guard let pointer = zmq_ctx_new() else { throw ZeroMQFailure.last("starting ZeroMQ") }
    zmq_ctx_set(pointer, ZMQ_IO_THREADS, Int32(clamping: max(1, ioThreads)))
    self.pointer = pointer
  }

  deinit {
    terminate()
  }

  /// Waits until every socket has sent what its linger time allows and its ports are free. Call when all sockets are
  /// closed: until they are, this waits.
  func terminate() {
    guard !isTerminated.exchange(true, ordering: .acquiringAndReleasing) else { return }
    while zmq_ctx_term(pointer) != 0, zmq_errno() == EINTR {}
  }
}

/// Turns libzmq's error number into an error of ours.
enum ZeroMQFailure {
  /// The error of the call to libzmq made last on this thread.
  static func last(_ operation: String) -> TransportError {
    let code = zmq_errno()
    return .system(operation: operation, code: code, reason: String(cString: zmq_strerror(code)))
  }
}

/// Waits for any of a few sockets and descriptors.
enum SocketWait {
  enum Source {
    case readable(ZeroMQSocket)
    case writable(ZeroMQSocket)
    case descriptor(Int32)
  }

  /// Returns when a source is ready, at the deadline (nil: never), or after a signal to the process; callers look
  /// for themselves what has changed.
  static func wait(for sources: [Source], until deadline: Deadline?) throws(TransportError) {
    var items = sources.map { source in
      switch source {
      case .readable(let socket): zmq_pollitem_t(socket: socket.pointer, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
      case .writable(let socket): zmq_pollitem_t(socket: socket.pointer, fd: 0, events: Int16(ZMQ_POLLOUT), revents: 0)
      case .descriptor(let file): zmq_pollitem_t(socket: nil, fd: file, events: Int16(ZMQ_POLLIN), revents: 0)
      }
    }
    let milliseconds = deadline.map { Int($0.remaining.wholeMilliseconds) } ?? -1
    // The pointers in `items` belong to the sockets in `sources`, which the caller's argument keeps alive.
    let result = withExtendedLifetime(sources) { zmq_poll(&items, Int32(clamping: items.count), milliseconds) }
    if result < 0, zmq_errno() != EINTR { throw ZeroMQFailure.last("waiting for messages") }
  }
}

/// Interrupts a wait from another thread; several signals before the wait count as one.
///
/// The descriptor stays open as long as this object lives, so that a late `signal` never writes into a file opened since.
final class WakeSignal: Sendable {
  /// Readable while a signal is pending.
  let fileDescriptor: Int32

  init() throws(TransportError) {
    fileDescriptor = czmq_eventfd()
    guard fileDescriptor >= 0 else {
      throw .system(operation: "making a wake-up descriptor", code: errno, reason: SystemCode.text(errno))
    }
  }

  deinit {
    close(fileDescriptor)
  }

  func signal() {
    var one: UInt64 = 1
    // Fails only when the counter is full, and then a signal is pending anyway.
    _ = write(fileDescriptor, &one, 8)
  }

  /// Whether a signal was pending; takes it.
  func take() -> Bool {
    var count: UInt64 = 0
    return read(fileDescriptor, &count, 8) == 8
  }
}

extension ZeroMQSocket {
  /// The name under which connections ask for admission.
  static let admissionDomain = "owners"

  /// What CURVE adds to a frame on the wire: 8 bytes of command name, 8 of nonce, 16 of authenticator, 1 of flags (ZeroMQ
  /// RFC 26); libzmq's size limit counts them.
  static let curveOverhead = 33

  /// The handshake's own frames must pass whatever the limit on messages is.
  private static let handshakeBytes = 1_024

  /// Limits and times, which libzmq leaves off or unlimited by itself.
  func configure(_ options: TransportOptions, endpoint: String) throws(TransportError) {
    let largest = max(
      min(options.maximumFrameBytes, options.pieceBytes), MessageEnvelope.tableBytes(frames: options.maximumFrames),
      Self.handshakeBytes)
    try set(ZMQ_MAXMSGSIZE, wide: Int64(largest + Self.curveOverhead))
    try set(ZMQ_SNDHWM, Int32(clamping: max(1, options.sendQueueMessages)))
    try set(ZMQ_RCVHWM, Int32(clamping: max(1, options.receiveQueueMessages)))
    try set(ZMQ_HEARTBEAT_IVL, options.heartbeatInterval.wholeMilliseconds)
    try set(ZMQ_HEARTBEAT_TIMEOUT, options.heartbeatTimeout.wholeMilliseconds)
    // The other side gives up on us after as long; the protocol carries tenths of a second in 16 bits.
    try set(ZMQ_HEARTBEAT_TTL, min(options.heartbeatTimeout.wholeMilliseconds, 6_553_500))
    try set(ZMQ_HANDSHAKE_IVL, options.handshakeTimeout.wholeMilliseconds)
    try set(ZMQ_LINGER, options.linger.wholeMilliseconds)
    // The kernel's own probes, for the time in which heartbeats are paused by a full queue.
    try set(ZMQ_TCP_KEEPALIVE, 1)
    try set(ZMQ_TCP_KEEPALIVE_IDLE, 30)
    try set(ZMQ_TCP_KEEPALIVE_INTVL, 10)
    try set(ZMQ_TCP_KEEPALIVE_CNT, 3)
    // With IPv6 on, libzmq takes a name's IPv6 address alone and never tries the other, so only an IPv6 literal asks for it.
    try set(ZMQ_IPV6, endpoint.contains("[") ? 1 : 0)
  }

  /// The owner's side of CURVE; `serverKey` is the only key it accepts at the other end.
  func configureOwner(keys: CurveKeyPair, serverKey: CurvePublicKey) throws(TransportError) {
    try set(ZMQ_CURVE_SERVERKEY, bytes: serverKey.bytes)
    try set(ZMQ_CURVE_PUBLICKEY, bytes: keys.publicKey.bytes)
    try setSecretKey(keys)
  }

  /// For a socket that connects.
  func configureAttempt(_ options: TransportOptions) throws(TransportError) {
    try set(ZMQ_CONNECT_TIMEOUT, options.connectTimeout.wholeMilliseconds)
    // One attempt, then an event and weeks of quiet: `SocketAttempts` makes a new socket instead.
    try set(ZMQ_RECONNECT_IVL, 2_000_000_000)
  }

  /// The server's side of CURVE: nobody gets past the handshake whom the admission handler does not let in.
  func configureServer(keys: CurveKeyPair) throws(TransportError) {
    try set(ZMQ_CURVE_SERVER, 1)
    try setSecretKey(keys)
    try set(ZMQ_ZAP_DOMAIN, bytes: Array(Self.admissionDomain.utf8))
    // Without it libzmq would admit everyone if no handler were running.
    try set(czmq_zap_enforce_domain, 1)
  }

  /// Of a server, whose answers nobody may leave unread for ever: a connection that takes nothing for so long ends.
  func configureReading(_ options: TransportOptions) throws(TransportError) {
    try set(ZMQ_TCP_MAXRT, options.unreadTimeout.wholeMilliseconds)
  }

  /// For the ROUTER socket of a side that listens: sending to a connection that is gone is an error, not silence.
  func configureListening() throws(TransportError) {
    try set(ZMQ_ROUTER_MANDATORY, 1)
  }

  private func setSecretKey(_ keys: CurveKeyPair) throws(TransportError) {
    try keys.withSecretBytes { (bytes) throws(TransportError) in try set(ZMQ_CURVE_SECRETKEY, borrowed: bytes) }
  }
}
