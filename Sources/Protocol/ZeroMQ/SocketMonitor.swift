import CZeroMQ
import Foundation

/// What libzmq tells about a socket's connections.
final class SocketMonitor {
  enum Event: Equatable {
    /// An attempt to connect has failed; libzmq would try again after its interval.
    case notConnected
    /// The other side has taken a connection of this one; the handshake follows.
    case accepted
    case handshakeSucceeded
    /// The connection ended before the handshake did, for no reason given.
    case handshakeBrokenOff
    /// Something else than a handshake of this protocol came, or, later, bytes that were not sealed by the peer.
    case protocolViolated
    /// The other side's admission answered with this status.
    case notAdmitted(status: UInt32)
    case disconnected
    /// A connection could not be accepted, with this error number.
    case acceptFailed(code: UInt32)
  }

  let socket: ZeroMQSocket

  private static let events =
    ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_CONNECT_RETRIED

  /// - Parameter name: unique within the context.
  init(_ observed: ZeroMQSocket, name: String, in context: ZeroMQContext) throws(TransportError) {
    let address = "inproc://\(name)"
    guard zmq_socket_monitor(observed.pointer, address, Self.events) == 0 else {
      throw ZeroMQFailure.last("observing connections")
    }
    socket = try ZeroMQSocket(ZMQ_PAIR, in: context)
    try socket.set(ZMQ_LINGER, 0)
    // No bound on events not read yet: at a bound libzmq's I/O thread would stop. They come at the pace of connections.
    try socket.set(ZMQ_RCVHWM, 0)
    try socket.connect(address)
  }

  /// The next event if there is one; never waits.
  func next() throws(TransportError) -> Event? {
    while let message = try socket.receive(maximumParts: 2) {
      // 16 bits of event and 32 of value in the machine's byte order, then the address (zmq_socket_monitor(3)).
      guard let header = message.parts.first, header.count == 6 else { continue }
      let (code, value) = header.withUnsafeBytes {
        ($0.loadUnaligned(as: UInt16.self), $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
      }
      switch Int32(code) {
      case ZMQ_EVENT_CONNECTED: return .accepted
      case ZMQ_EVENT_CONNECT_RETRIED: return .notConnected
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return .handshakeSucceeded
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return .handshakeBrokenOff
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: return .protocolViolated
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return .notAdmitted(status: value)
      case ZMQ_EVENT_DISCONNECTED: return .disconnected
      case ZMQ_EVENT_ACCEPT_FAILED: return .acceptFailed(code: value)
      default: continue
      }
    }
    return nil
  }
}

/// Attempts to connect to one address, one after another, each with a socket of its own.
///
/// libzmq would reconnect a socket by itself, but then either sends over the new connection what was queued for the old one,
/// or (`ZMQ_IMMEDIATE`) throws away what had arrived over it, and after a refusal it never tries again. With one socket for
/// each attempt, what was queued ends with its connection and what had arrived is still delivered.
final class SocketAttempts {
  private(set) var socket: ZeroMQSocket?
  private(set) var monitor: SocketMonitor?
  /// While there is no socket: when to make the next.
  private(set) var nextAttempt: Deadline?
  /// Attempts so far.
  private(set) var count: UInt64 = 0
  /// How much later than the end of one attempt the next one comes; grows with each failure.
  private var pause: Duration

  private let options: TransportOptions
  /// A socket that does not connect yet, and its monitor; told the number of the attempt.
  private let make: (UInt64) throws(TransportError) -> (ZeroMQSocket, SocketMonitor)
  private let endpoint: String

  /// Begins the first attempt.
  init(
    endpoint: String, options: TransportOptions,
    make: @escaping (UInt64) throws(TransportError) -> (ZeroMQSocket, SocketMonitor)
  ) throws(TransportError) {
    self.endpoint = endpoint
    self.options = options
    self.make = make
    pause = options.reconnectInterval
    try open()
  }

  deinit {
    // Before its monitor.
    socket?.close()
  }

  func openIfDue() throws(TransportError) {
    if socket == nil, nextAttempt?.hasPassed ?? true { try open() }
  }

  /// The attempt has led to a connection: the next failure is a first one.
  func succeeded() {
    pause = options.reconnectInterval
  }

  /// Gives up the socket with all that is queued in it; the next is made after a pause that grows with each failure.
  ///
  /// - Parameters:
  ///   - slowing: how much longer than usual the pause may become.
  ///   - lingering: sends what is queued all the same, for the linger time; otherwise it would reach the other side after the
  ///     loss has been told.
  func discard(slowing: Int = 1, lingering: Bool = false) {
    if !lingering { try? socket?.set(ZMQ_LINGER, 0) }
    close()
    nextAttempt = Deadline(after: pause)
    pause = min(pause * 2, options.maximumReconnectInterval * slowing)
  }

  /// Sends what is queued for the linger time.
  func close() {
    socket?.close()
    socket = nil
    monitor = nil
  }

  private func open() throws(TransportError) {
    count += 1
    let (socket, monitor) = try make(count)
    try socket.connect(endpoint)
    self.socket = socket
    self.monitor = monitor
    nextAttempt = nil
  }
}
