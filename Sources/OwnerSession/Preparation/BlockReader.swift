import Datasets
import Foundation
import Synchronization
import Tensors

/// Reads a source block by block in file order, one block ahead on a queue of its own.
final class BlockReader: Sendable {
  struct Block: Sendable {
    let rows: Range<Int>
    /// [rows, columns], as in the file.
    let values: Tensor<Float>
  }

  private let source: any FeatureSource
  private let queue = DispatchQueue(label: "block-reader")
  private let state: Mutex<(next: Int, pending: PendingBlock?)>

  init(source: any FeatureSource) {
    self.source = source
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

  private func schedule(from first: Int) -> PendingBlock? {
    guard first < source.rows else { return nil }
    let rows = first..<min(source.rows, first + max(1, source.preferredRowBlock))
    let pending = PendingBlock()
    queue.async { [source] in
      pending.fulfil(
        Result {
          var values = Tensor<Float>(uninitialized: [rows.count, source.columns])
          try values.withUnsafeMutableBufferPointer { try source.read(rows: rows, into: $0) }
          return Block(rows: rows, values: values)
        })
    }
    return pending
  }
}
