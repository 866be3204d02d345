import Files
package import Datasets
import Dispatch
package import Foundation
package import Masking
import Synchronization
package import Numerics

/// Every row of a job, masked, in slot order, in scratch memory or an unlinked scratch file of the owner.
///
/// The HDF5 file is read once, in order, so that each of its chunks is inflated once however the batches are shuffled; each row
/// is masked once, in a block that depends on the file alone, so that its bits are the same after any resume. Shuffled
/// batches are gathered from here.
package struct RowSpool<Element: FloatingElement> {
  /// Bytes of rows that are kept in memory rather than in a file.
  private static var memoryLimit: Int { 192 << 20 }

  private let file: RowFile<Element>
  package let width: Int
  /// Hash of all rows of features as they are masked but without noise, in the order of the file.
  let contentHash: UInt64

  /// Reads, standardises, noises, masks and stores all rows of the plan. Reading the next block and storing the last one overlap
  /// with masking this one.
  ///
  /// - Parameter noise: nil for a job without.
  /// - Parameter progress: rows done and rows in all; what it throws ends the work.
  /// - Throws: `DatasetError` from reading, `FileError` of kind `.exhausted` when the scratch directory is full.
  package init(
    _ prepared: PreparedJob, source: any FeatureSource, standardization: Standardization?, noise: InputNoise?,
    keys: JobKeys<Element>, scratch: URL, times: inout PhaseTimes, progress: (Int, Int) throws -> Void
  ) throws {
    let plan = prepared.plan
    let slotOfRow = plan.slotOfRow(rows: source.rows)
    width = prepared.shape.inputWidth
    file = try RowFile(
      scratchIn: scratch.path, columns: width, capacity: plan.totalRows, inMemoryUpTo: Self.memoryLimit)
    let rows = try source.standardized(by: standardization)
    // Standardised or noised rows have no zeros to leave out.
    let isChanged = standardization != nil || noise != nil
    let reader = BlockReader<FeatureBlock<Element>>(of: rows) { range in
      isChanged ? .dense(try rows.values(rows: range)) : try FeatureBlock(rows, rows: range)
    }
    let writer = SpoolWriter(file: file, slotOfRow: slotOfRow)
    var hash = ContentHash()
    while let block = try times.reading.measure({ try reader.next() }) {
      times.reading.measure { block.content.update(&hash) }
      let masked = try times.masking.measure {
        try Self.mask(block.content, noise, slots: slotOfRow[block.rows], keys)
      }
      try times.reading.measure { try writer.append(masked, rows: block.rows) }
      try progress(block.rows.upperBound, source.rows)
    }
    try times.reading.measure { try writer.finish() }
    contentHash = hash.value()
  }

  private static func mask(
    _ block: FeatureBlock<Element>, _ noise: InputNoise?, slots: ArraySlice<Int32>, _ keys: JobKeys<Element>
  ) throws -> Tensor<Element> {
    switch block {
    case .sparse(let rows): return try keys.maskInputs(rows)
    case .dense(var rows):
      try noise?.add(to: &rows, numbers: Array(slots), workers: keys.compute.workers)
      return try keys.maskInputs(rows.converted(to: Element.self))
    }
  }

  /// The masked rows of `slots`, [n, width].
  package func rows(_ slots: [Int]) throws -> Tensor<Element> {
    try file.gather(slots)
  }
}

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
