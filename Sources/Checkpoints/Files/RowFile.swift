import Foundation
package import Tensors

/// Rows of one width in a file, addressed by slot: what shuffled reading gathers from without holding all rows in memory.
///
/// Nothing is mapped: memory use does not grow with the file, and a full disk is an error instead of a signal. A scratch
/// file may be plain memory instead when it is small. Slots that were never written read as zeros.
///
/// Sendable: the file is reached by pread and pwrite at offsets that depend on the slots alone and every field is
/// constant. Threads may gather and write at the same time as long as no slot is being written that another reads or
/// writes; a gather that breaks this rule gets a mixture of old and new numbers, never memory it must not see.
package final class RowFile<Element: TensorElement>: Sendable {
  /// Elements a row.
  package let columns: Int
  /// Slots, numbered from 0.
  package let capacity: Int
  let backing: RowBacking
  let rowBytes: Int

  /// A scratch file in `directory` that has no name from the start, readable by its owner only, gone with the process.
  ///
  /// - Parameter inMemoryUpTo: rows that take at most so many bytes are kept in memory and touch no file.
  /// - Throws: `.rows` for an impossible size, `.system` when the file cannot be made.
  package convenience init(
    scratchIn directory: String, columns: Int, capacity: Int, inMemoryUpTo memoryLimit: Int = 0
  ) throws(CheckpointError) {
    let bytes = try Self.byteCount(columns: columns, capacity: capacity, path: directory)
    if bytes <= memoryLimit {
      let memory = try ScratchMemory(count: bytes, path: directory)
      self.init(.memory(memory, path: directory), columns: columns, capacity: capacity)
      return
    }
    let file = try OpenFile.unnamed(in: directory)
    try self.init(file, columns: columns, capacity: capacity, mustHaveLength: false)
  }

  /// A file that outlives the process, made when it does not exist. Which of its rows were written is the caller's to
  /// remember; `sync` makes them durable.
  ///
  /// - Throws: also `.rows(.length)` when the file exists with another size.
  package convenience init(path: String, columns: Int, capacity: Int) throws(CheckpointError) {
    let file = try OpenFile.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, as: .create)
    try self.init(file, columns: columns, capacity: capacity, mustHaveLength: try file.length() > 0)
  }

  private convenience init(
    _ file: OpenFile, columns: Int, capacity: Int, mustHaveLength: Bool
  ) throws(CheckpointError) {
    let length = try Self.byteCount(columns: columns, capacity: capacity, path: file.path)
    self.init(.file(file), columns: columns, capacity: capacity)
    if mustHaveLength {
      let found = try file.length()
      guard found == length else { throw .rows(path: file.path, .length(expected: length, found: found)) }
    } else {
      try file.truncate(to: length)
    }
  }

  private static func byteCount(columns: Int, capacity: Int, path: String) throws(CheckpointError) -> Int {
    guard columns > 0, let length = Shape.byteCount([capacity, columns], Element.elementType),
      columns <= Int.max / MemoryLayout<Element>.stride
    else { throw .rows(path: path, .impossibleSize(columns: columns, capacity: capacity)) }
    return length
  }

  private init(_ backing: RowBacking, columns: Int, capacity: Int) {
    self.backing = backing
    self.columns = columns
    self.capacity = capacity
    rowBytes = columns * MemoryLayout<Element>.stride
  }

  /// Writes `rows` (shape [n, columns]) into the slots from `firstSlot` on.
  ///
  /// - Throws: `.rows` for another width or slots outside the file; `.system` of kind `.exhausted` on a full disk.
  package func write(_ rows: Tensor<Element>, at firstSlot: Int) throws(CheckpointError) {
    try checkColumns(rows)
    try rows.withUnsafeBufferPointer { (buffer) throws(CheckpointError) in try write(buffer, at: firstSlot) }
  }

  /// As above from memory that holds whole rows.
  package func write(_ rows: UnsafeBufferPointer<Element>, at firstSlot: Int) throws(CheckpointError) {
    let count = rows.count / columns
    guard count * columns == rows.count else {
      throw problem(.bufferSize(expected: count * columns, found: rows.count))
    }
    guard firstSlot >= 0, firstSlot <= capacity else { throw slotProblem(firstSlot) }
    guard count <= capacity - firstSlot else { throw slotProblem(capacity) }
    try backing.write(UnsafeRawBufferPointer(rows), at: firstSlot * rowBytes)
  }

  /// Writes row i of `rows` (shape [n, columns]) into slot `slots[i]`; neighbours go out in one call.
  package func write(
    _ rows: Tensor<Element>, to slots: some Collection<some BinaryInteger>
  ) throws(CheckpointError) {
    try checkColumns(rows)
    let checked = try checkedSlots(slots)
    guard checked.count == rows.rows else {
      throw problem(.bufferSize(expected: checked.count * columns, found: rows.count))
    }
    try rows.withUnsafeBufferPointer { (buffer) throws(CheckpointError) in
      let bytes = UnsafeRawBufferPointer(buffer)
      for run in SlotRuns(checked[...]) {
        let piece = bytes[run.first * rowBytes..<(run.first + run.count) * rowBytes]
        try backing.write(UnsafeRawBufferPointer(rebasing: piece), at: run.slot * rowBytes)
      }
    }
  }

  /// Returns when everything written is on the disk; of no use for a scratch file.
  package func sync() throws(CheckpointError) {
    try backing.sync()
  }

  /// The slots as `Int`, each within the file.
  func checkedSlots(_ slots: some Collection<some BinaryInteger>) throws(CheckpointError) -> [Int] {
    var checked: [Int] = []
    checked.reserveCapacity(slots.count)
    for slot in slots {
      guard let number = Int(exactly: slot), number >= 0, number < capacity else {
        throw slotProblem(Int(clamping: slot))
      }
      checked.append(number)
    }
    return checked
  }

  func problem(_ problem: RowFileProblem) -> CheckpointError {
    .rows(path: backing.path, problem)
  }

  private func slotProblem(_ slot: Int) -> CheckpointError {
    problem(.slotOutOfRange(slot: slot, capacity: capacity))
  }

  private func checkColumns(_ rows: Tensor<Element>) throws(CheckpointError) {
    guard rows.columns == columns else { throw problem(.columns(expected: columns, found: rows.columns)) }
  }
}
