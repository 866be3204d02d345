import CZeroMQ

/// Turns libzmq's error number into an error of ours.
enum ZeroMQFailure {
  /// The error of the call to libzmq made last on this thread.
  static func last(_ operation: String) -> TransportError {
    let code = zmq_errno()
    return .system(operation: operation, code: code, reason: String(cString: zmq_strerror(code)))
  }
}
