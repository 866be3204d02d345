import Files
import Datasets
import Dispatch
import Masking
import Synchronization
import Numerics

/// A block of feature rows as it is masked: its non-zeros alone where they are few, as in fingerprints and counts, else all values.
///
/// Which of the two is decided by the block's content, not by how the file stores it, so that a resumed run masks it the same way and
/// a matrix stored sparse gives the same bits as the same matrix stored dense. What is stored sparse and masked sparse is never made
/// dense in between.
enum FeatureBlock<Element: FloatingElement>: Sendable {
  case dense(Tensor<Float>)
  case sparse(Masking.SparseRows<Element>)

  /// Share of non-zeros below which masking entry by entry beats the dense product: that one does 2 d w operations a row
  /// whatever the row holds, near the processor's peak; this one reads a column of the key for each entry.
  private static var sparseShare: Double { 0.1 }

  /// - Throws: `DatasetError` from reading.
  init(_ source: any FeatureSource, rows: Range<Int>) throws {
    let limit = Int(Self.sparseShare * Double(rows.count * source.columns))
    if let sparse = source as? any SparseFeatureSource {
      self = try Self.block(of: sparse.readEntries(rows: rows), columns: source.columns, limit: limit)
    } else {
      self = try Self.block(of: source.values(rows: rows), limit: limit)
    }
  }

  /// Adds the block to a hash of the data.
  func update(_ hash: inout ContentHash) {
    switch self {
    case .dense(let rows): rows.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    case .sparse(let rows):
      rows.starts.withUnsafeBytes { hash.update($0) }
      rows.indices.withUnsafeBytes { hash.update($0) }
      rows.values.withUnsafeBytes { hash.update($0) }
    }
  }

  private static func block(of entries: StoredEntries<Float>, columns: Int, limit: Int) throws -> FeatureBlock {
    guard entries.values.count(where: { $0 != 0 }) <= limit else {
      var rows = Tensor<Float>(uninitialized: [entries.offsets.count - 1, columns])
      rows.withUnsafeMutableBufferPointer { entries.scatter(into: $0, width: columns) }
      return .dense(rows)
    }
    var kept = NonZeros(capacity: entries.values.count)
    for (start, end) in zip(entries.offsets, entries.offsets.dropFirst()) {
      // In the order of the columns: sums over a row round the same however the file orders its entries.
      for entry in (start..<end).sorted(by: { entries.columns[$0] < entries.columns[$1] }) {
        kept.append(entries.values[entry], column: entries.columns[entry])
      }
      kept.endRow()
    }
    return .sparse(try kept.rows(columns: columns))
  }

  private static func block(of rows: Tensor<Float>, limit: Int) throws -> FeatureBlock {
    let columns = rows.columns
    let kept = rows.withUnsafeBufferPointer { elements -> NonZeros? in
      var count = 0
      for element in elements where element != 0 {
        count += 1
        if count > limit { return nil }
      }
      var kept = NonZeros(capacity: count)
      for row in 0..<rows.rows {
        for column in 0..<columns {
          kept.append(elements[row * columns + column], column: Int32(truncatingIfNeeded: column))
        }
        kept.endRow()
      }
      return kept
    }
    guard let kept else { return .dense(rows) }
    return .sparse(try kept.rows(columns: columns))
  }

  /// The non-zeros of rows, collected row by row in the order of their columns.
  private struct NonZeros {
    private var starts = [0]
    private var indices: [Int32] = []
    private var values: [Float] = []

    init(capacity: Int) {
      indices.reserveCapacity(capacity)
      values.reserveCapacity(capacity)
    }

    mutating func append(_ value: Float, column: Int32) {
      guard value != 0 else { return }
      indices.append(column)
      values.append(value)
    }

    mutating func endRow() { starts.append(indices.count) }

    /// - Throws: `MaskingError.sparseRows` never: the parts fit.
    func rows(columns: Int) throws(MaskingError) -> Masking.SparseRows<Element> {
      let converted: Tensor<Element> = Tensor(values, shape: [values.count]).converted()
      return try Masking.SparseRows(columns: columns, starts: starts, indices: indices, values: converted.elements)
    }
  }
}

/// Reads rows block by block in file order, one block ahead on a queue of its own.
final class BlockReader<Content: Sendable>: Sendable {
  struct Block: Sendable {
    let rows: Range<Int>
    let content: Content
  }

  /// A block that the queue is reading.
  private final class Pending: Sendable {
    private let done = DispatchSemaphore(value: 0)
    private let result = Mutex<Result<Block, any Error>?>(nil)

    func fulfil(_ outcome: Result<Block, any Error>) {
      result.withLock { $0 = outcome }
      done.signal()
    }

    /// Waits for the block; called once.
    func wait() throws -> Block {
      done.wait()
      guard let outcome = result.withLock({ $0 }) else { throw OwnerError.protocolViolation("no block was read") }
      return try outcome.get()
    }
  }

  private let rows: Int
  private let rowsPerBlock: Int
  private let read: @Sendable (Range<Int>) throws -> Content
  private let queue = DispatchQueue(label: "block-reader")
  private let pending: Mutex<Pending?>

  /// - Parameter read: called on the reader's queue, for one block after the other.
  convenience init(of source: any FeatureSource, read: @escaping @Sendable (Range<Int>) throws -> Content) {
    self.init(rows: source.rows, rowsPerBlock: source.preferredRowBlock, read: read)
  }

  /// - Parameters:
  ///   - rowsPerBlock: blocks begin at its multiples.
  ///   - first: a row of the first block.
  ///   - read: called on the reader's queue, for one block after the other.
  init(
    rows: Int, rowsPerBlock: Int, from first: Int = 0, read: @escaping @Sendable (Range<Int>) throws -> Content
  ) {
    self.rows = rows
    self.rowsPerBlock = max(1, rowsPerBlock)
    self.read = read
    pending = Mutex(nil)
    pending.withLock { $0 = schedule(from: first / self.rowsPerBlock * self.rowsPerBlock) }
  }

  /// The next block, or nil after the last.
  func next() throws -> Block? {
    guard let awaited = pending.withLock({ $0 }) else { return nil }
    let block = try awaited.wait()
    pending.withLock { $0 = schedule(from: block.rows.upperBound) }
    return block
  }

  private func schedule(from first: Int) -> Pending? {
    guard first < rows else { return nil }
    let range = first..<min(rows, first + rowsPerBlock)
    let pending = Pending()
    queue.async { [read] in
      pending.fulfil(Result { Block(rows: range, content: try read(range)) })
    }
    return pending
  }
}

extension FeatureSource {
  /// Some rows, [n, columns].
  func values(rows: Range<Int>) throws(DatasetError) -> Tensor<Float> {
    var values = Tensor<Float>(uninitialized: [rows.count, columns])
    let result: Result<Void, DatasetError> = values.withUnsafeMutableBufferPointer { buffer in
      Result { () throws(DatasetError) in try read(rows: rows, into: buffer) }
    }
    try result.get()
    return values
  }
}
