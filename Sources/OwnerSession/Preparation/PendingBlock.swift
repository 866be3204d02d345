import Dispatch
import Synchronization

/// A block that another thread is reading.
final class PendingBlock: Sendable {
  private let done = DispatchSemaphore(value: 0)
  private let result = Mutex<Result<BlockReader.Block, any Error>?>(nil)

  func fulfil(_ outcome: Result<BlockReader.Block, any Error>) {
    result.withLock { $0 = outcome }
    done.signal()
  }

  /// Waits for the block; called once.
  func wait() throws -> BlockReader.Block {
    done.wait()
    guard let outcome = result.withLock({ $0 }) else { throw OwnerError.protocolViolation("no block was read") }
    return try outcome.get()
  }
}
