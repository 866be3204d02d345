import Numerics

/// A feature matrix that its file stores as compressed sparse rows.
package protocol SparseFeatureSource: FeatureSource {
  /// The stored entries of some rows, without the zeros between them; checked as in `read(rows:into:)`.
  func readEntries(rows: Range<Int>) throws(DatasetError) -> StoredEntries<Float>
}

/// The stored entries of some consecutive rows of a sparse matrix: row i holds `values[k]` in column `columns[k]` for k in
/// `offsets[i]..<offsets[i+1]`. Stored zeros are among them.
package struct StoredEntries<Value: Sendable>: Sendable {
  /// Starts at 0; one more than there are rows.
  package let offsets: [Int]
  /// Each at most once in a row, in any order.
  package let columns: [Int32]
  package let values: [Value]

  package init(offsets: [Int], columns: [Int32], values: [Value]) {
    self.offsets = offsets
    self.columns = columns
    self.values = values
  }
}

extension StoredEntries: Equatable where Value: Equatable {}

extension StoredEntries where Value: Numeric {
  /// Writes rows of `width` columns with zeros between the entries; `destination` holds a row for each.
  package func scatter(into destination: UnsafeMutableBufferPointer<Value>, width: Int) {
    let rows = offsets.count - 1
    destination.prefix(rows * width).update(repeating: 0)
    for row in 0..<rows {
      for entry in offsets[row]..<offsets[row + 1] { destination[row * width + Int(columns[entry])] = values[entry] }
    }
  }
}

/// A group of three one-dimensional datasets as AnnData and scipy lay out compressed sparse rows: `indptr` (N + 1), `indices`
/// and `data` (one per stored entry).
struct SparseFeatures: SparseFeatureSource {
  /// Entries read at once: 8-byte columns and 4-byte values make 24 MB of them.
  private static let blockEntries = 2 << 20

  let rows: Int
  let columns: Int
  private let location: DataLocation
  private let offsets: StoredArray
  private let indices: StoredArray
  private let data: StoredArray

  var preferredRowBlock: Int { max(1, min(rows, ChunkPlan.blockBytes / 4 / columns)) }
  /// Entries of consecutive rows are consecutive, so a chunk that two blocks share is still in the cache.
  var inflationsPerChunk: Int { max(indices.plan.inflationsPerChunk, data.plan.inflationsPerChunk) }

  /// - Throws: `missingObject`, `wrongType`, `wrongRank`, `empty`, `tooLarge`, `invalidSparseRow` when the parts do not fit.
  init(_ group: StoredGroup, shape: [Int], open: (String) throws(DatasetError) -> StoredArray) throws(DatasetError) {
    location = group.location
    guard shape.count == 2, Shape.byteCount(shape, .float32) != nil, shape[1] <= ChunkPlan.largestRowBytes / 4 else {
      throw DatasetError(.tooLarge, group.location, "its shape \(shape) is not that of a matrix that can be read")
    }
    (rows, columns) = (shape[0], shape[1])
    guard rows > 0, columns > 0 else {
      throw DatasetError(.empty, group.location, "its shape is \(shape): there are no rows or no columns to train on")
    }
    offsets = try open("indptr")
    indices = try open("indices")
    data = try open("data")
    for part in [offsets, indices, data] where part.shape.count != 1 {
      throw DatasetError(
        .wrongRank, part.location, "its rank is \(part.shape.count); a part of a sparse matrix has rank 1")
    }
    for part in [offsets, indices] where !part.element.isInteger {
      throw DatasetError(.wrongType, part.location, "it holds \(part.element), not integers")
    }
    guard data.element.isNumeric else {
      throw DatasetError(.wrongType, data.location, "it holds \(data.element); features must be numbers")
    }
    guard rows < Int.max, offsets.rows == rows + 1, indices.rows == data.rows else {
      throw DatasetError(
        .invalidSparseRow, group.location,
        "its parts do not fit: \(rows) rows need \(rows) + 1 entries of indptr (there are \(offsets.rows)), and indices "
          + "(\(indices.rows)) as many entries as data (\(data.rows))")
    }
    guard try readOffsets(0..<0) == [0], try readOffsets(rows..<rows) == [data.rows] else {
      throw DatasetError(.invalidSparseRow, offsets.location, "it does not run from 0 to the number of stored entries")
    }
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
    try readDense(rows, destination)
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
    try readDense(rows, destination)
  }

  private func readDense<Value: FeatureValue>(
    _ rows: Range<Int>, _ destination: UnsafeMutableBufferPointer<Value>
  ) throws(DatasetError) {
    guard rows.lowerBound >= 0, rows.upperBound <= self.rows, destination.count / columns >= rows.count else {
      throw DatasetError(.defect, location, "rows \(rows) were asked for, or memory for them was too small")
    }
    // A row's entries are checked to be no more than its columns, so this many rows fit the limit.
    let step = max(1, Self.blockEntries / columns)
    for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
      let block = start..<min(start + step, rows.upperBound)
      let entries: StoredEntries<Value> = try entries(of: block)
      let first = (start - rows.lowerBound) * columns
      entries.scatter(
        into: UnsafeMutableBufferPointer(rebasing: destination[first..<first + block.count * columns]), width: columns)
    }
  }

  package func readEntries(rows: Range<Int>) throws(DatasetError) -> StoredEntries<Float> { try entries(of: rows) }

  private func entries<Value: FeatureValue>(of rows: Range<Int>) throws(DatasetError) -> StoredEntries<Value> {
    let absolute = try readOffsets(rows)
    try checkOffsets(absolute, rows)
    guard let first = absolute.first, let last = absolute.last else {
      return StoredEntries(offsets: [0], columns: [], values: [])
    }
    let count = last - first
    let stored = try read([Int64](repeating: 0, count: count), of: indices, first..<last, as: .int64)
    let values = try read([Value](repeating: 0, count: count), of: data, first..<last, as: Value.memory)
    let offsets = absolute.map { $0 - first }

    var columnIndices = [Int32](repeating: 0, count: count)
    // The last row, counted from 1, in which a column was met: finds a column that one row holds twice.
    var lastRow = [Int32](repeating: 0, count: columns)
    for row in 0..<rows.count {
      for entry in offsets[row]..<offsets[row + 1] {
        guard let column = Int(exactly: stored[entry]), (0..<columns).contains(column) else {
          throw invalid(rows.lowerBound + row, "has an entry outside of columns 0–\(columns - 1)")
        }
        guard lastRow[column] != Int32(truncatingIfNeeded: row + 1) else {
          throw invalid(
            rows.lowerBound + row, "holds column \(column) twice; call scipy's sum_duplicates() and write it again")
        }
        lastRow[column] = Int32(truncatingIfNeeded: row + 1)
        columnIndices[entry] = Int32(truncatingIfNeeded: column)
        guard Float(values[entry]).isFinite else {
          throw DatasetError(
            .notFinite, location,
            "row \(rows.lowerBound + row), column \(column) is NaN, infinite or beyond the range of 32-bit floats; features "
              + "must be finite")
        }
      }
    }
    return StoredEntries(offsets: offsets, columns: columnIndices, values: values)
  }

  /// The offsets of `rows` and of the row after them.
  private func readOffsets(_ rows: Range<Int>) throws(DatasetError) -> [Int] {
    guard rows.lowerBound >= 0, rows.upperBound <= self.rows else {
      throw DatasetError(.defect, location, "rows \(rows) were asked for")
    }
    let zeros = [Int64](repeating: 0, count: rows.count + 1)
    return try read(zeros, of: offsets, rows.lowerBound..<rows.upperBound + 1, as: .int64).map { Int($0) }
  }

  private func checkOffsets(_ offsets: [Int], _ rows: Range<Int>) throws(DatasetError) {
    for (index, (start, end)) in zip(offsets, offsets.dropFirst()).enumerated() {
      guard start >= 0, start <= end, end <= data.rows else {
        throw invalid(rows.lowerBound + index, "starts after its end, or outside of the stored entries")
      }
      guard end - start <= columns else {
        throw invalid(rows.lowerBound + index, "has more entries than there are columns")
      }
    }
  }

  private func read<Element: BitwiseCopyable>(
    _ buffer: [Element], of array: StoredArray, _ range: Range<Int>, as memory: MemoryElement
  ) throws(DatasetError) -> [Element] {
    var result = buffer
    try array.read(rows: range, as: memory, into: &result)
    return result
  }

  private func invalid(_ row: Int, _ problem: String) -> DatasetError {
    DatasetError(.invalidSparseRow, location, "row \(row) \(problem)")
  }
}

/// What a group's attributes say of a sparse matrix in it, in either of AnnData's layouts.
struct SparseLayout: Sendable, Equatable {
  enum Orientation: Sendable, Equatable { case rows, columns }

  let orientation: Orientation
  let shape: [Int]

  /// nil when the group does not say that it is a sparse matrix.
  init?(_ group: StoredGroup) throws(DatasetError) {
    let attributes = AttributeReader(object: group.handle, location: group.location)
    let format: String
    let shapeName: String
    if let old = try attributes.text("h5sparse_format") {
      (format, shapeName) = (old, "h5sparse_shape")
    } else if let new = try attributes.text("encoding-type"), new.hasSuffix("_matrix") {
      (format, shapeName) = (String(new.dropLast("_matrix".count)), "shape")
    } else {
      return nil
    }
    switch format {
    case "csr": orientation = .rows
    case "csc": orientation = .columns
    default: return nil
    }
    let numbers = try attributes.integers(shapeName) ?? []
    shape = numbers.compactMap { Int(exactly: $0) }
    guard shape.count == 2, numbers.count == 2, shape.allSatisfy({ $0 >= 0 }) else {
      throw DatasetError(.damagedFile, group.location, "its attribute '\(shapeName)' is not the shape of a matrix")
    }
  }
}
