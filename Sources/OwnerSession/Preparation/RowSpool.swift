import Checkpoints
package import Datasets
package import Foundation
package import Masking
package import Tensors

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
  /// Of all rows of the features as they are masked, but for noise, in the order of the file.
  let contentHash: UInt64

  /// Reads, standardises, noises, masks and stores all rows of the plan. Reading the next block and storing the last one overlap
  /// with masking this one.
  ///
  /// - Parameter noise: nil for a job without.
  /// - Parameter progress: rows done and rows in all; what it throws ends the work.
  /// - Throws: `DatasetError` from reading, `CheckpointError` of kind `.exhausted` when the scratch directory is full.
  package init(
    _ prepared: PreparedJob, source: any FeatureSource, standardization: Standardization?, noise: InputNoise?,
    keys: JobKeys<Element>, scratch: URL, times: inout PhaseTimes, progress: (Int, Int) throws -> Void
  ) throws {
    let plan = prepared.plan
    var slotOfRow = [Int32](repeating: -1, count: source.rows)
    for (slot, row) in plan.rowOfSlot.enumerated() { slotOfRow[Int(row)] = Int32(slot) }
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
      try noise?.add(to: &rows, numbers: Array(slots), workers: keys.workers)
      return try keys.maskInputs(rows.converted(to: Element.self))
    }
  }

  /// The masked rows of `slots`, [n, width].
  package func rows(_ slots: [Int]) throws -> Tensor<Element> {
    try file.gather(slots)
  }
}
