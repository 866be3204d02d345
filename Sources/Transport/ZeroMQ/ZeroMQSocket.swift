import CZeroMQ
import Foundation

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
        return ReceivedMessage(parts: parts, partCount: count, userID: frame.userID)
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
