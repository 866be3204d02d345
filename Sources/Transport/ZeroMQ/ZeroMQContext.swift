import CZeroMQ
import Synchronization

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
