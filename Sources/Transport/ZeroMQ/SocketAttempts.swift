import CZeroMQ

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
