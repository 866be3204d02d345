import Datasets
import Dispatch
import Synchronization
import Tensors

/// Reads rows block by block in file order, one block ahead on a queue of its own.
final class BlockReader<Content: Sendable>: Sendable {
  struct Block: Sendable {
    let rows: Range<Int>
    let content: Content
  }

  /// A block that the queue is reading.
  private final class Pending: Sendable {
    private let done = DispatchSemaphore(value: 0)
    private let result = Mutex<Result<Block, any Error>?>(nil)

    func fulfil(_ outcome: Result<Block, any Error>) {
      result.withLock { $0 = outcome }
      done.signal()
    }

    /// Waits for the block; called once.
    func wait() throws -> Block {
      done.wait()
      guard let outcome = result.withLock({ $0 }) else { throw OwnerError.protocolViolation("no block was read") }
      return try outcome.get()
    }
  }

  private let rows: Int
  private let rowsPerBlock: Int
  private let read: @Sendable (Range<Int>) throws -> Content
  private let queue = DispatchQueue(label: "block-reader")
  private let state: Mutex<(next: Int, pending: Pending?)>

  /// - Parameter read: called on the reader's queue, for one block after the other.
  init(of source: any FeatureSource, read: @escaping @Sendable (Range<Int>) throws -> Content) {
    rows = source.rows
    rowsPerBlock = max(1, source.preferredRowBlock)
    self.read = read
    state = Mutex((0, nil))
    state.withLock { $0.pending = schedule(from: 0) }
  }

  /// The next block, or nil after the last.
  func next() throws -> Block? {
    guard let pending = state.withLock({ $0.pending }) else { return nil }
    let block = try pending.wait()
    state.withLock { $0.pending = schedule(from: block.rows.upperBound) }
    return block
  }

  private func schedule(from first: Int) -> Pending? {
    guard first < rows else { return nil }
    let range = first..<min(rows, first + rowsPerBlock)
    let pending = Pending()
    queue.async { [read] in
      pending.fulfil(Result { Block(rows: range, content: try read(range)) })
    }
    return pending
  }
}

extension FeatureSource {
  /// Some rows, [n, columns].
  func values(rows: Range<Int>) throws(DatasetError) -> Tensor<Float> {
    var values = Tensor<Float>(uninitialized: [rows.count, columns])
    let result: Result<Void, DatasetError> = values.withUnsafeMutableBufferPointer { buffer in
      Result { () throws(DatasetError) in try read(rows: rows, into: buffer) }
    }
    try result.get()
    return values
  }
}
