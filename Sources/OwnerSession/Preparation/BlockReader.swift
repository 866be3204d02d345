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
  /// Memory of blocks that are done with: fresh memory costs a page fault every few rows.
  private let spare = Mutex<Tensor<Float>?>(nil)

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

  /// Gives a block's memory back, to be read into again; the caller keeps no other reference to it.
  func recycle(_ block: consuming Block) {
    let values = block.values
    spare.withLock { $0 = values }
  }

  private func takeMemory(_ shape: [Int]) -> Tensor<Float> {
    let recycled = spare.withLock { spare in
      defer { spare = nil }
      return spare
    }
    if let recycled, recycled.shape == shape { return recycled }
    return Tensor(uninitialized: shape)
  }

  private func schedule(from first: Int) -> PendingBlock? {
    guard first < source.rows else { return nil }
    let rows = first..<min(source.rows, first + max(1, source.preferredRowBlock))
    let pending = PendingBlock()
    queue.async { [self] in
      pending.fulfil(
        Result {
          var values = takeMemory([rows.count, source.columns])
          try values.withUnsafeMutableBufferPointer { try source.read(rows: rows, into: $0) }
          return Block(rows: rows, values: values)
        })
    }
    return pending
  }
}
