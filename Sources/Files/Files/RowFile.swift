import Foundations
import Foundation
import Synchronization
package import Numerics

/// Rows of one width in a file, addressed by slot: what shuffled reading gathers from without holding all rows in memory.
///
/// Nothing is mapped: memory use does not grow with the file, and a full disk is an error instead of a signal. A scratch
/// file may be plain memory instead when it is small. Slots that were never written read as zeros.
///
/// Sendable: the file is reached by pread and pwrite at offsets that depend on the slots alone and every field is
/// constant. Threads may gather and write at the same time as long as no slot is being written that another reads or
/// writes; a gather that breaks this rule gets a mixture of old and new numbers, never memory it must not see.
package final class RowFile<Element: TensorElement>: Sendable {
  /// Elements per row.
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
  ) throws(FileError) {
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
  package convenience init(path: String, columns: Int, capacity: Int) throws(FileError) {
    let file = try OpenFile.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, as: .create)
    try self.init(file, columns: columns, capacity: capacity, mustHaveLength: try file.length() > 0)
  }

  private convenience init(
    _ file: OpenFile, columns: Int, capacity: Int, mustHaveLength: Bool
  ) throws(FileError) {
    let length = try Self.byteCount(columns: columns, capacity: capacity, path: file.path)
    self.init(.file(file), columns: columns, capacity: capacity)
    if mustHaveLength {
      let found = try file.length()
      guard found == length else { throw .rows(path: file.path, .length(expected: length, found: found)) }
    } else {
      try file.truncate(to: length)
    }
  }

  private static func byteCount(columns: Int, capacity: Int, path: String) throws(FileError) -> Int {
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
  package func write(_ rows: Tensor<Element>, at firstSlot: Int) throws(FileError) {
    try checkColumns(rows)
    try rows.withUnsafeBufferPointer { (buffer) throws(FileError) in try write(buffer, at: firstSlot) }
  }

  /// As above from memory that holds whole rows.
  package func write(_ rows: UnsafeBufferPointer<Element>, at firstSlot: Int) throws(FileError) {
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
  ) throws(FileError) {
    try checkColumns(rows)
    let checked = try checkedSlots(slots)
    guard checked.count == rows.rows else {
      throw problem(.bufferSize(expected: checked.count * columns, found: rows.count))
    }
    try rows.withUnsafeBufferPointer { (buffer) throws(FileError) in
      let bytes = UnsafeRawBufferPointer(buffer)
      for run in SlotRuns(checked[...]) {
        let piece = bytes[run.first * rowBytes..<(run.first + run.count) * rowBytes]
        try backing.write(UnsafeRawBufferPointer(rebasing: piece), at: run.slot * rowBytes)
      }
    }
  }

  /// Returns when everything written is on the disk; not needed for a scratch file.
  package func sync() throws(FileError) {
    try backing.sync()
  }

  /// The slots as `Int`, each within the file.
  func checkedSlots(_ slots: some Collection<some BinaryInteger>) throws(FileError) -> [Int] {
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

  func problem(_ problem: RowFileProblem) -> FileError {
    .rows(path: backing.path, problem)
  }

  private func slotProblem(_ slot: Int) -> FileError {
    problem(.slotOutOfRange(slot: slot, capacity: capacity))
  }

  private func checkColumns(_ rows: Tensor<Element>) throws(FileError) {
    guard rows.columns == columns else { throw problem(.columns(expected: columns, found: rows.columns)) }
  }
}

extension RowFile {
  /// Reads slot `slots[i]` into row i of `target` (row-major, `slots.count` × `columns`), neighbouring slots in one call.
  ///
  /// - Parameter workers: reads from several threads; nil reads on this one. The result is the same.
  /// - Throws: `.rows` for a slot outside the file or a target of another size; `.system` when reading fails.
  package func gather(
    _ slots: some Collection<some BinaryInteger>, into target: UnsafeMutableBufferPointer<Element>,
    workers: Workers? = nil
  ) throws(FileError) {
    let checked = try checkedSlots(slots)
    let (expected, overflow) = checked.count.multipliedReportingOverflow(by: columns)
    guard !overflow, target.count == expected else {
      throw problem(.bufferSize(expected: expected, found: target.count))
    }
    let bytes = UnsafeMutableRawBufferPointer(target)
    // 256 KiB a piece: large against the cost of handing a piece to a thread, small against a batch.
    let rowsPerPiece = max(1, (256 << 10) / rowBytes)
    guard let workers, workers.threads > 1, checked.count > rowsPerPiece else {
      return try read(checked[...], into: bytes)
    }
    let failure = Mutex<FileError?>(nil)
    // Each piece writes only its own rows of the target, which the caller keeps alive until this call returns.
    nonisolated(unsafe) let shared = bytes
    workers.perform(pieces: (checked.count + rowsPerPiece - 1) / rowsPerPiece) { piece in
      let range = piece * rowsPerPiece..<min(checked.count, (piece + 1) * rowsPerPiece)
      do throws(FileError) {
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
  ) throws(FileError) -> Tensor<Element> {
    guard Shape.byteCount([slots.count, columns], Element.elementType) != nil else {
      throw problem(.bufferSize(expected: .max, found: 0))
    }
    var rows = Tensor<Element>(uninitialized: [slots.count, columns])
    try rows.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try gather(slots, into: buffer, workers: workers)
    }
    return rows
  }

  /// - Parameter bytes: the whole target; the slice's indices are its row numbers.
  private func read(_ slots: ArraySlice<Int>, into bytes: UnsafeMutableRawBufferPointer) throws(FileError) {
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

/// Where a `RowFile` keeps its bytes.
enum RowBacking: Sendable {
  case file(OpenFile)
  case memory(ScratchMemory, path: String)

  /// What errors name.
  var path: String {
    switch self {
    case .file(let file): file.path
    case .memory(_, let path): path
    }
  }

  func length() throws(FileError) -> Int? {
    guard case .file(let file) = self else { return nil }
    return try file.length()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    switch self {
    case .file(let file): try file.read(into: buffer, at: offset)
    case .memory(let memory, _): memory.read(into: buffer, at: offset)
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    switch self {
    case .file(let file): try file.write(buffer, at: offset)
    case .memory(let memory, _): memory.write(buffer, at: offset)
    }
  }

  func sync() throws(FileError) {
    if case .file(let file) = self { try file.sync() }
  }
}

/// Zeroed memory that stands in for a scratch file when the rows are few: gathering is then a copy instead of one system call per row.
///
/// `@unchecked Sendable`: the pointer never changes and the memory is freed once, in `deinit`; who reads and writes at the
/// same time keeps to `RowFile`'s rule for slots, and every access is checked against the size.
final class ScratchMemory: @unchecked Sendable {
  private let bytes: UnsafeMutableRawBufferPointer

  /// Pages are only taken when they are first written.
  ///
  /// - Throws: `.system` of kind `.exhausted` when the system has no such memory.
  init(count: Int, path: String) throws(FileError) {
    guard let base = calloc(max(count, 1), 1) else { throw .system(.create, path: path, code: ENOMEM) }
    bytes = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  deinit {
    free(bytes.baseAddress)
  }

  /// - Returns: the bytes read, fewer than asked only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    let count = min(buffer.count, max(0, bytes.count - offset))
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
    return count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) {
    UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<(offset + buffer.count)]).copyMemory(from: buffer)
  }
}

/// Cuts a list of slots into stretches of consecutive ones, each of which is one read or write.
struct SlotRuns: Sequence, IteratorProtocol {
  struct Run: Equatable {
    /// Position in the list.
    let first: Int
    /// The slot at that position.
    let slot: Int
    let count: Int
  }

  private let slots: ArraySlice<Int>
  private var position: Int

  /// Positions are the slice's own indices.
  init(_ slots: ArraySlice<Int>) {
    self.slots = slots
    position = slots.startIndex
  }

  mutating func next() -> Run? {
    guard position < slots.endIndex else { return nil }
    let first = position
    let slot = slots[first]
    repeat { position += 1 } while position < slots.endIndex && slots[position] == slot + (position - first)
    return Run(first: first, slot: slot, count: position - first)
  }
}

/// A misuse of a row file, or a file that is not one.
package enum RowFileProblem: Equatable, Sendable, CustomStringConvertible {
  /// Columns below 1, a negative capacity, or a size that overflows.
  case impossibleSize(columns: Int, capacity: Int)
  case slotOutOfRange(slot: Int, capacity: Int)
  /// A buffer of another size than the rows it is for.
  case bufferSize(expected: Int, found: Int)
  case columns(expected: Int, found: Int)
  /// An existing file of another length than columns × capacity.
  case length(expected: Int, found: Int)

  var kind: FailureKind { .inputData }

  package var description: String {
    switch self {
    case .impossibleSize(let columns, let capacity): "\(capacity) rows of \(columns) columns is not a possible size"
    case .slotOutOfRange(let slot, let capacity): "slot \(slot) is outside 0 ..< \(capacity)"
    case .bufferSize(let expected, let found): "a buffer of \(found) elements where \(expected) are needed"
    case .columns(let expected, let found): "rows of \(found) columns where \(expected) are kept"
    case .length(let expected, let found):
      "\(found) bytes long instead of \(expected): made for another job, or damaged; remove it to start afresh"
    }
  }
}
