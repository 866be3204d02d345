package import Checkpoints
import Foundation
import Synchronization
package import Tensors

/// Masks stored plain rows on a thread of its own while the first epoch is under way.
///
/// Blocks are fixed ranges of slots, so that a row has the same bits in every run of a job whenever its block is due; they are done in
/// order, which is the order in which epoch 0 and its evaluation ask for them. Work ends early when the last reference goes.
package final class SlotMasker<Element: FloatingElement>: Sendable {
  private struct Progress: Sendable {
    /// Let go of after the last block.
    var plain: RowFile<Float>?
    /// Slots below this are masked.
    var done = 0
    var failure: (any Error)?
  }

  private let masked: RowFile<Element>
  private let rowsInBlock: Int
  private let mask: @Sendable (Tensor<Float>) throws -> Tensor<Element>
  private let progress: Mutex<Progress>
  private let changed = NSCondition()

  /// Begins at once.
  ///
  /// - Parameters:
  ///   - plain: every row in its slot, as in the file.
  ///   - masked: of the same capacity; written here alone.
  package init(
    plain: RowFile<Float>, into masked: RowFile<Element>, rowsInBlock: Int,
    mask: @escaping @Sendable (Tensor<Float>) throws -> Tensor<Element>
  ) {
    self.masked = masked
    self.rowsInBlock = rowsInBlock
    self.mask = mask
    progress = Mutex(Progress(plain: plain))
    DispatchQueue(label: "slot-masker").async { [weak self] in
      var rows = Tensor<Float>(uninitialized: [0, plain.columns])
      while self?.maskBlock(by: &rows) == true {}
    }
  }

  /// Returns when all slots below `end` are masked.
  ///
  /// - Throws: what masking or storing them threw.
  package func wait(upTo end: Int) throws {
    changed.lock()
    defer { changed.unlock() }
    while true {
      let (done, failure) = progress.withLock { ($0.done, $0.failure) }
      if done >= end { return }
      if let failure { throw failure }
      changed.wait()
    }
  }

  /// - Parameter rows: memory for the plain rows of a block, used again by the next.
  /// - Returns: whether there is another block.
  private func maskBlock(by rows: inout Tensor<Float>) -> Bool {
    let (plain, first) = progress.withLock { ($0.plain, $0.done) }
    guard let plain, first < masked.capacity else { return false }
    let end = min(masked.capacity, first + rowsInBlock)
    let outcome = Result {
      if rows.rows != end - first { rows = Tensor(uninitialized: [end - first, plain.columns]) }
      try rows.withUnsafeMutableBufferPointer { try plain.gather(first..<end, into: $0) }
      try masked.write(try mask(rows), at: first)
    }
    let isLast = progress.withLock { progress in
      switch outcome {
      case .success: progress.done = end
      case .failure(let error): progress.failure = error
      }
      let isLast = progress.failure != nil || end == masked.capacity
      if isLast { progress.plain = nil }
      return isLast
    }
    changed.lock()
    changed.broadcast()
    changed.unlock()
    return !isLast
  }
}
