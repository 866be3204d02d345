import Checkpoints
import Dispatch
import Synchronization
import Tensors

/// Puts masked blocks into their rows' slots on a queue of its own, a few blocks behind.
final class SpoolWriter<Element: FloatingElement>: Sendable {
  private let file: RowFile<Element>
  private let slotOfRow: [Int32]
  private let queue = DispatchQueue(label: "spool-writer")
  /// Blocks that may wait; more would only grow memory.
  private let room = DispatchSemaphore(value: 2)
  private let failure = Mutex<(any Error)?>(nil)

  /// - Parameter slotOfRow: −1 for rows the job does not use.
  init(file: RowFile<Element>, slotOfRow: [Int32]) {
    self.file = file
    self.slotOfRow = slotOfRow
  }

  /// - Throws: what storing an earlier block threw.
  func append(_ masked: Tensor<Element>, rows: Range<Int>) throws {
    room.wait()
    queue.async { [self] in
      defer { room.signal() }
      if failure.withLock({ $0 != nil }) { return }
      do {
        try store(masked, rows: rows)
      } catch {
        failure.withLock { $0 = error }
      }
    }
    try rethrow()
  }

  /// Waits until everything is stored.
  func finish() throws {
    queue.sync {}
    try rethrow()
  }

  private func rethrow() throws {
    if let error = failure.withLock({ $0 }) { throw error }
  }

  private func store(_ masked: Tensor<Element>, rows: Range<Int>) throws {
    let slots = slotOfRow[rows]
    if slots.allSatisfy({ $0 >= 0 }) { return try file.write(masked, to: slots) }
    let width = masked.columns
    try masked.withUnsafeBufferPointer { values in
      for (position, slot) in slots.enumerated() where slot >= 0 {
        try file.write(
          UnsafeBufferPointer(rebasing: values[(position * width)..<((position + 1) * width)]), at: Int(slot))
      }
    }
  }
}
