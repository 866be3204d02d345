import Checkpoints
package import Datasets
package import Foundation
package import Masking
package import Tensors

/// Every row of a job, masked, in slot order, in scratch memory or an unlinked scratch file of the owner.
///
/// The HDF5 file is read once, in order, so that each of its chunks is inflated once however the batches are shuffled; each row
/// is masked once, in a block that depends on the file and the plan alone, so that its bits are the same after any resume. Shuffled
/// batches are gathered from here.
///
/// Small jobs mask behind the first epoch, which leaves processors idle; others before it, as they are read, because they
/// would need room for plain rows as well, or make the trainer wait for longer than it takes an owner for lost.
package struct RowSpool<Element: FloatingElement> {
  /// Share of non-zeros below which masking entry by entry beats the dense product: that one does 2 d w operations a row
  /// whatever the row holds, near the processor's peak; this one reads a column of the key for each entry.
  private static var sparseShare: Double { 0.1 }

  private let file: RowFile<Element>
  /// Nil when every row is masked already.
  private let masker: SlotMasker<Element>?
  package let width: Int

  /// Reads, standardises, masks and stores all rows of the plan. Reading the next block and storing the last one overlap
  /// with masking this one; or masking goes on behind the caller.
  ///
  /// - Parameter progress: rows done and rows in all; what it throws ends the work.
  /// - Throws: `DatasetError` from reading, `CheckpointError` of kind `.exhausted` when the scratch directory is full.
  package init(
    _ prepared: PreparedJob, source: any FeatureSource, standardization: Standardization?, keys: JobKeys<Element>,
    scratch: URL,
    limits: SpoolLimits = SpoolLimits(), times: inout PhaseTimes, progress: (Int, Int) throws -> Void
  ) throws {
    let plan = prepared.plan
    var slotOfRow = [Int32](repeating: -1, count: source.rows)
    for (slot, row) in plan.rowOfSlot.enumerated() { slotOfRow[Int(row)] = Int32(slot) }
    width = prepared.shape.inputWidth
    file = try RowFile(
      scratchIn: scratch.path, columns: width, capacity: plan.totalRows, inMemoryUpTo: limits.memory)
    let reader = BlockReader(source: source)
    let isBehind = limits.masksBehindTraining(
      rows: plan.totalRows, columns: source.columns, width: width, elementBytes: MemoryLayout<Element>.stride)
    if isBehind {
      let plain = try RowFile<Float>(
        scratchIn: scratch.path, columns: source.columns, capacity: plan.totalRows,
        inMemoryUpTo: limits.memory)
      let writer = SpoolWriter(file: plain, slotOfRow: slotOfRow)
      while let block = try times.reading.measure({ try reader.next() }) {
        try times.reading.measure { try writer.store(block.values, rows: block.rows) }
        reader.recycle(block)
        try progress(block.rows.upperBound, source.rows)
      }
      masker = SlotMasker(
        plain: plain, into: file, rowsInBlock: min(limits.backgroundRows, source.preferredRowBlock)
      ) { try Self.mask($0, standardization, keys) }
      return
    }
    masker = nil
    let writer = SpoolWriter(file: file, slotOfRow: slotOfRow)
    while let block = try times.reading.measure({ try reader.next() }) {
      let masked = try times.masking.measure { try Self.mask(block.values, standardization, keys) }
      try times.reading.measure { try writer.append(masked, rows: block.rows) }
      reader.recycle(block)
      try progress(block.rows.upperBound, source.rows)
    }
    try times.reading.measure { try writer.finish() }
  }

  private static func mask(
    _ rows: Tensor<Float>, _ standardization: Standardization?, _ keys: JobKeys<Element>
  ) throws -> Tensor<Element> {
    if let standardization {
      var values = rows
      values.withUnsafeMutableBufferPointer { standardization.apply(to: $0) }
      return try keys.maskInputs(values.converted(to: Element.self))
    }
    if let sparse: Masking.SparseRows<Element> = try SparseBlock.compress(rows, below: sparseShare) {
      return try keys.maskInputs(sparse)
    }
    return try keys.maskInputs(rows.converted(to: Element.self))
  }

  /// The masked rows of `slots`, [n, width].
  ///
  /// - Throws: also what masking them behind the caller threw.
  package func rows(_ slots: [Int]) throws -> Tensor<Element> {
    try waitForMasking(of: slots)
    return try file.gather(slots)
  }

  /// Returns when `slots` are masked.
  func waitForMasking(of slots: some Collection<some BinaryInteger>) throws {
    guard let masker, let last = slots.max() else { return }
    try masker.wait(upTo: Int(last) + 1)
  }
}
