import CZeroMQ
import Glibc

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
