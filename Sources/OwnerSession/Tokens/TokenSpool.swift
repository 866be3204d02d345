import Datasets
import Checkpoints
package import Foundation
import Tensors

/// The tokens of every sample by slot, in scratch memory or an unlinked scratch file: the HDF5 file is read once, in order, so that
/// each of its chunks is inflated once however the batches are shuffled.
package struct TokenSpool: Sendable {
  /// Bytes that are kept in memory rather than in a file.
  private static var memoryLimit: Int { 128 << 20 }
  /// Numbers a token takes: id, position, type, label.
  private static let fields = 4

  private let file: RowFile<Int32>
  /// Of all tokens, in the order of the file; 0 until they are read.
  private(set) var contentHash: UInt64 = 0
  /// Tokens of the longest sample there may be.
  package let maximumTokens: Int

  /// - Throws: `CheckpointError` of kind `.exhausted` when the scratch directory is full.
  package init(maximumTokens: Int, capacity: Int, scratch: URL) throws {
    self.maximumTokens = max(1, maximumTokens)
    file = try RowFile(
      scratchIn: scratch.path, columns: 1 + Self.fields * self.maximumTokens, capacity: capacity,
      inMemoryUpTo: Self.memoryLimit)
  }

  /// - Parameter sample: at least 1 and at most `maximumTokens` tokens.
  package func write(_ sample: some RandomAccessCollection<Token>, slot: Int) throws {
    var record = Tensor<Int32>(zeros: [1, file.columns])
    record[0] = Int32(sample.count)
    for (place, token) in sample.enumerated() {
      let first = 1 + Self.fields * place
      record[first] = token.id
      record[first + 1] = token.position
      record[first + 2] = token.type
      record[first + 3] = token.label
    }
    try file.write(record, at: slot)
  }

  /// Tokens of the samples in `slots` that a loss counts. Keys decide the order in which tokens are sent, not how many count.
  func countedTokens(of slots: some Collection<Int32>, _ settings: TokenSettings) throws -> Int {
    try samples(slots).reduce(0) { $0 + settings.targets(of: $1).count { $0 >= 0 } }
  }

  /// The samples in `slots`, in that order.
  package func samples(_ slots: some Collection<Int32>) throws -> [[Token]] {
    let records = try file.gather(slots)
    return records.withUnsafeBufferPointer { entries in
      (0..<slots.count).map { row in
        let base = row * file.columns
        return (0..<Int(entries[base])).map { place in
          let first = base + 1 + Self.fields * place
          return Token(
            id: entries[first], position: entries[first + 1], type: entries[first + 2], label: entries[first + 3])
        }
      }
    }
  }
}

extension TokenSpool {
  /// Reads every sample of the plan, in the order of the file.
  ///
  /// - Parameter progress: rows done and rows in all; what it throws ends the work.
  /// - Throws: `DatasetError` from reading, `CheckpointError` of kind `.exhausted` when the scratch directory is full.
  init(
    _ prepared: PreparedJob, tokens: TokenInputs, scratch: URL, progress: (Int, Int) throws -> Void
  ) throws {
    var slotOfRow = [Int32](repeating: -1, count: tokens.source.rows)
    for (slot, row) in prepared.plan.rowOfSlot.enumerated() { slotOfRow[Int(row)] = Int32(slot) }
    try self.init(
      maximumTokens: prepared.shape.data.maximumTokens ?? 1, capacity: prepared.plan.totalRows, scratch: scratch)
    var hash = ContentHash()
    try tokens.forEachSample { row, sample in
      withUnsafeBytes(of: sample.count) { hash.update($0) }
      // Four numbers a token and nothing between them.
      sample.withUnsafeBytes { hash.update($0) }
      if slotOfRow[row] >= 0 { try write(sample, slot: Int(slotOfRow[row])) }
      if row % 1024 == 0 { try progress(row, tokens.source.rows) }
    }
    contentHash = hash.value()
  }
}
