import Checkpoints
import Datasets
package import Foundation
package import Masking
package import Tensors

/// Every row of a job, masked, in slot order, in an unlinked scratch file of the owner.
///
/// The HDF5 file is read once, in order, so that each of its chunks is inflated once however the batches are shuffled; each row is masked
/// once, in a block that depends on the file alone, so that its bits are the same after any resume. Shuffled batches are gathered
/// from here by `pread`.
package struct RowSpool<Element: FloatingElement> {
  private let file: RowFile<Element>
  package let width: Int

  /// Reads, standardises, masks and stores all rows of the plan. Reading the next block overlaps with masking this one.
  ///
  /// - Throws: `DatasetError` from reading, `CheckpointError` of kind `.exhausted` when the scratch directory is full.
  package init(
    _ prepared: PreparedJob, standardization: Standardization?, keys: JobKeys<Element>, scratch: URL,
    times: inout PhaseTimes, progress: (Int, Int) -> Void
  ) throws {
    let plan = prepared.plan
    var slotOfRow = [Int32](repeating: -1, count: prepared.source.rows)
    for (slot, row) in plan.rowOfSlot.enumerated() { slotOfRow[Int(row)] = Int32(slot) }
    width = prepared.shape.inputWidth
    file = try RowFile(scratchIn: scratch.path, columns: width, capacity: plan.totalRows)
    let reader = BlockReader(source: prepared.source)
    while let block = try times.reading.measure({ try reader.next() }) {
      let masked = try times.masking.measure { () throws -> Tensor<Element> in
        var values = block.values
        if let standardization { values.withUnsafeMutableBufferPointer { standardization.apply(to: $0) } }
        return try keys.maskInputs(values.converted())
      }
      try times.reading.measure {
        try store(masked, rows: block.rows, slotOfRow: slotOfRow)
      }
      progress(block.rows.upperBound, prepared.source.rows)
    }
  }

  private func store(_ masked: Tensor<Element>, rows: Range<Int>, slotOfRow: [Int32]) throws {
    try masked.withUnsafeBufferPointer { values in
      for (position, row) in rows.enumerated() where slotOfRow[row] >= 0 {
        try file.write(
          UnsafeBufferPointer(rebasing: values[(position * width)..<((position + 1) * width)]),
          at: Int(slotOfRow[row]))
      }
    }
  }

  /// The masked rows of `slots`, [n, width].
  package func rows(_ slots: [Int]) throws -> Tensor<Element> {
    var result = Tensor<Element>(uninitialized: [slots.count, width])
    try result.withUnsafeMutableBufferPointer { try file.gather(slots, into: $0) }
    return result
  }
}
