import CZeroMQ

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
