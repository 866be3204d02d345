import Synchronization
package import Tensors

extension RowFile {
  /// Reads slot `slots[i]` into row i of `target` (row-major, `slots.count` × `columns`), neighbouring slots in one call.
  ///
  /// - Parameter workers: reads from several threads; nil reads on this one. The result is the same.
  /// - Throws: `.rows` for a slot outside the file or a target of another size; `.system` when reading fails.
  package func gather(
    _ slots: some Collection<some BinaryInteger>, into target: UnsafeMutableBufferPointer<Element>,
    workers: Workers? = nil
  ) throws(CheckpointError) {
    let checked = try checkedSlots(slots)
    let (expected, overflow) = checked.count.multipliedReportingOverflow(by: columns)
    guard !overflow, target.count == expected else {
      throw problem(.bufferSize(expected: expected, found: target.count))
    }
    let bytes = UnsafeMutableRawBufferPointer(target)
    // 256 KiB a piece: large against the cost of handing a piece to a thread, small against a batch.
    let rowsAPiece = max(1, (256 << 10) / rowBytes)
    guard let workers, workers.threads > 1, checked.count > rowsAPiece else {
      return try read(checked[...], into: bytes)
    }
    let failure = Mutex<CheckpointError?>(nil)
    // Each piece writes only its own rows of the target, which the caller keeps alive until this call returns.
    nonisolated(unsafe) let shared = bytes
    workers.perform(pieces: (checked.count + rowsAPiece - 1) / rowsAPiece) { piece in
      let range = piece * rowsAPiece..<min(checked.count, (piece + 1) * rowsAPiece)
      do throws(CheckpointError) {
        try self.read(checked[range], into: shared)
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
  }

  /// As above into a new tensor of shape [slots.count, columns].
  package func gather(
    _ slots: some Collection<some BinaryInteger>, workers: Workers? = nil
  ) throws(CheckpointError) -> Tensor<Element> {
    guard Shape.byteCount([slots.count, columns], Element.elementType) != nil else {
      throw problem(.bufferSize(expected: .max, found: 0))
    }
    var rows = Tensor<Element>(uninitialized: [slots.count, columns])
    try rows.withUnsafeMutableBufferPointer { (buffer) throws(CheckpointError) in
      try gather(slots, into: buffer, workers: workers)
    }
    return rows
  }

  /// - Parameter bytes: the whole target; the slice's indices are its row numbers.
  private func read(_ slots: ArraySlice<Int>, into bytes: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
    for run in SlotRuns(slots) {
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: bytes[run.first * rowBytes..<(run.first + run.count) * rowBytes])
      let got = try backing.read(into: piece, at: run.slot * rowBytes)
      guard got == piece.count else {
        throw problem(.length(expected: capacity * rowBytes, found: try backing.length() ?? 0))
      }
    }
  }
}
