import Tensors

/// Reads a whole numeric column into memory, block by block.
struct NumericColumn {
  /// What one column may take in memory: 64 Mi numbers of 4 or 8 bytes.
  static let mostElements = 64 << 20

  let array: StoredArray

  /// - Throws: `wrongType` unless the column holds numbers, `wrongRank` beyond a matrix, `empty`, `tooLarge`.
  init(_ array: StoredArray) throws(DatasetError) {
    guard array.element.isNumeric else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element) where numbers are due")
    }
    try Self.checkExtent(array)
    self.array = array
  }

  /// The rules for every column that is held in memory, texts too.
  static func checkExtent(_ array: StoredArray) throws(DatasetError) {
    let rank = array.shape.count
    guard rank == 1 || rank == 2 else {
      throw DatasetError(
        .wrongRank, array.location,
        "its shape is \(array.shape), rank \(rank); a column has rank 1, or 2 with its columns")
    }
    guard array.rows > 0, array.columns > 0 else { throw DatasetError(.empty, array.location, "it has no rows") }
    guard let count = Shape.elementCount(array.shape), count <= mostElements else {
      throw DatasetError(.tooLarge, array.location, "it holds more than \(mostElements) numbers, too many for memory")
    }
  }

  /// A rule for columns that must not have several.
  static func checkSingle(_ array: StoredArray, _ purpose: String) throws(DatasetError) {
    guard array.columns == 1 else {
      throw DatasetError(.wrongRank, array.location, "its shape is \(array.shape); \(purpose) takes one column")
    }
  }

  /// - Throws: `wrongType` unless the column holds integers, or numbers that all are: NaN and fractions name their row.
  func integers() throws(DatasetError) -> [Int64] {
    if array.element.isInteger {
      let values: [Int64] = try read(.int64, zero: 0)
      // libhdf5 stores what exceeds the range as its end.
      if case .integer(8..., false, _) = array.element, let row = values.firstIndex(of: .max) {
        throw DatasetError(.tooLarge, array.location, "row \(row / array.columns) holds a number beyond 63 bits")
      }
      return values
    }
    let values: [Double] = try read(.double, zero: 0)
    var integers: [Int64] = []
    integers.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      guard let integer = Int64(exactly: value) else {
        throw DatasetError(
          .invalidLabels, array.location,
          "row \(index / array.columns) is \(value.isNaN ? "NaN (missing)" : "no integer"), and integers are due")
      }
      integers.append(integer)
    }
    return integers
  }

  /// Rounded to nearest; what exceeds the range of 32-bit floats is infinite.
  func floats() throws(DatasetError) -> [Float] { try read(.float, zero: 0) }

  private func read<Element: BitwiseCopyable>(_ memory: MemoryElement, zero: Element) throws(DatasetError) -> [Element]
  {
    var values = [Element](repeating: zero, count: array.rows * array.columns)
    let block = array.plan.rowBlock
    for start in stride(from: 0, to: array.rows, by: block) {
      let rows = start..<min(start + block, array.rows)
      try array.read(rows: rows, as: memory, into: &values, at: start * array.columns)
    }
    return values
  }
}
