import Foundation
import Numerics

extension HDF5File {
  /// A column of integers, such as the one that `split: {by: …}` names: an integer dataset or field, N or N × 1.
  /// - Parameter rows: the number of rows it must have; nil where any number will do.
  /// - Throws: `DatasetError`: `wrongType`, `wrongRank`, `empty`, `rowCountMismatch`, and what opening and reading throw.
  package func readIntegers(path: String, rows: Int?) throws(DatasetError) -> [Int64] {
    let array = try NullableColumn(ObjectPath(path), in: self).withoutMissing()
    guard array.element.isInteger else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element), not integers")
    }
    let column = try NumericColumn(array)
    try NumericColumn.checkSingle(array, "a column of integers")
    if let rows, rows != array.rows {
      throw DatasetError(.rowCountMismatch, array.location, "it has \(array.rows) rows, and the features have \(rows)")
    }
    return try column.integers()
  }

  /// A list of row numbers, such as the one that `split: {validation_rows: …}` names, in the stored order.
  /// - Throws: `DatasetError.invalidRowNumbers` for one outside of `0..<rows` or listed twice; as `readIntegers` otherwise.
  package func readRowNumbers(path: String, below rows: Int) throws(DatasetError) -> [Int] {
    let numbers = try readIntegers(path: path, rows: nil)
    let location = location.object(path)
    var seen = Set<Int64>()
    var result: [Int] = []
    for (index, number) in numbers.enumerated() {
      guard number >= 0, number < rows else {
        throw DatasetError(.invalidRowNumbers, location, "entry \(index) is not a row number: rows are 0–\(rows - 1)")
      }
      guard seen.insert(number).inserted else {
        throw DatasetError(.invalidRowNumbers, location, "entry \(index) repeats a row number that was listed before")
      }
      result.append(Int(number))
    }
    return result
  }
}

/// Reads a whole numeric column into memory, block by block.
struct NumericColumn {
  /// What one column may take in memory: 64 Mi numbers of 4 or 8 bytes.
  static let maxElements = 64 << 20

  let array: StoredArray

  /// - Throws: `wrongType` unless the column holds numbers, `wrongRank` beyond a matrix, `empty`, `tooLarge`.
  init(_ array: StoredArray) throws(DatasetError) {
    guard array.element.isNumeric else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element) where numbers are expected")
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
    guard let count = Shape.elementCount(array.shape), count <= maxElements else {
      throw DatasetError(.tooLarge, array.location, "it holds more than \(maxElements) numbers, too many for memory")
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
    let values = try doubles()
    var integers: [Int64] = []
    integers.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      guard let integer = Int64(exactly: value) else {
        throw DatasetError(
          .invalidLabels, array.location,
          "row \(index / array.columns) is \(value.isNaN ? "NaN (missing)" : "no integer"), and integers are expected")
      }
      integers.append(integer)
    }
    return integers
  }

  /// Rounded to nearest; what exceeds the range of 32-bit floats is infinite.
  func floats() throws(DatasetError) -> [Float] { try read(.float, zero: 0) }

  /// What exceeds the range of 64-bit floats is infinite.
  func doubles() throws(DatasetError) -> [Double] { try read(.double, zero: 0) }

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

/// Reads the strings of a column, block by block.
struct TextColumn {
  /// Longer texts are no class names.
  private static let maxTextBytes = 64 << 10
  private static let blockBytes = 4 << 20

  let array: StoredArray

  /// - Throws: `wrongType` unless the column holds strings.
  init(_ array: StoredArray) throws(DatasetError) {
    guard array.element.isString else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element), not strings")
    }
    self.array = array
  }

  /// Calls `body` with each row's bytes (without padding), ascending.
  func forEach(_ body: (_ row: Int, _ text: [UInt8]) throws(DatasetError) -> Void) throws(DatasetError) {
    let memory: MemoryElement
    switch array.element {
    case .fixedString(let bytes, let utf8):
      guard bytes <= Self.maxTextBytes else {
        throw DatasetError(
          .tooLarge, array.location, "its strings take \(bytes) bytes each; the limit is \(Self.maxTextBytes)")
      }
      memory = .fixedString(bytes: bytes, utf8: utf8)
    case .variableString(let utf8): memory = .variableString(utf8: utf8)
    default: throw DatasetError(.wrongType, array.location, "it holds \(array.element), not strings")
    }
    // Strings of varying length are allocated by libhdf5, which cannot hand out more than the file holds.
    let block = max(1, min(array.plan.rowBlock, Self.blockBytes / max(64, memory.byteCount)))
    for start in stride(from: 0, to: array.rows, by: block) {
      let rows = start..<min(start + block, array.rows)
      for (index, text) in try texts(rows, memory).enumerated() { try body(start + index, text) }
    }
  }

  private func texts(_ rows: Range<Int>, _ memory: MemoryElement) throws(DatasetError) -> [[UInt8]] {
    guard case .variableString = memory else {
      let width = memory.byteCount
      var buffer = [UInt8](repeating: 0, count: rows.count * width)
      try array.read(rows: rows, as: memory, into: &buffer)
      return (0..<rows.count).map { row in
        let text = buffer[(row * width)..<((row + 1) * width)]
        return Array(text.prefix((text.lastIndex { $0 != 0 } ?? text.startIndex - 1) - text.startIndex + 1))
      }
    }
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: rows.count)
    try array.read(rows: rows, as: memory, into: &pointers)
    let texts = pointers.map { pointer in
      pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
    }
    try array.reclaimStrings(memory, &pointers)
    return texts
  }
}

/// A column, and which of its rows have no value.
///
/// AnnData stores nullable integers, Booleans and strings as a group of `values` and `mask`: where the mask is true, `values` holds a
/// fill value without meaning. So the two are read together or not at all.
struct NullableColumn {
  let array: StoredArray
  /// By row; nil where the column is a plain one.
  private let isMissing: [Bool]?

  /// - Throws: `damagedFile` when mask and values do not fit together; what opening and reading throw.
  init(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) {
    guard let group = try Self.group(path, in: file) else {
      array = try file.openArray(path.text)
      isMissing = nil
      return
    }
    array = try file.openPart("\(group)/values")
    let mask = try file.openPart("\(group)/mask")
    guard mask.element.isInteger, mask.shape == array.shape, mask.columns == 1 else {
      throw DatasetError(.damagedFile, mask.location, "it is no mask of the values beside it")
    }
    isMissing = try NumericColumn(mask).integers().map { $0 != 0 }
  }

  /// For what has no way to say that a value is missing.
  /// - Throws: `invalidLabels` naming the first row without a value.
  func withoutMissing() throws(DatasetError) -> StoredArray {
    guard let row = isMissing?.firstIndex(of: true) else { return array }
    throw DatasetError(
      .invalidLabels, array.location, "row \(row) has no value (its mask is set); drop such rows first")
  }

  /// NaN where there is no value.
  /// - Throws: as `NumericColumn`.
  func floats() throws(DatasetError) -> [Float] {
    var values = try NumericColumn(array).floats()
    for (row, isMissing) in (isMissing ?? []).enumerated() where isMissing { values[row] = .nan }
    return values
  }

  /// The path of the group, where a path leads to a nullable column.
  private static func group(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) -> String? {
    guard case .group(let group) = try file.resolve(path.object) else { return nil }
    if let field = path.field {
      return try self.group(ObjectPath(object: "\(path.object)/\(field)", field: nil), in: file)
    }
    return try isNullable(group) ? path.object : nil
  }

  private static func isNullable(_ group: StoredGroup) throws(DatasetError) -> Bool {
    guard try group.link("values") != nil else { return false }
    return try group.link("mask") != nil
  }

  /// Refuses the values of a nullable column by themselves: fill values would be taken for data.
  /// - Throws: `wrongObject`.
  static func refusePart(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) {
    var parent = ObjectPath.components(path.object)
    guard parent.popLast() == "values", !parent.isEmpty else { return }
    let name = parent.joined(separator: "/")
    guard case .group(let group) = try file.resolve(name), try isNullable(group) else { return }
    throw DatasetError(
      .wrongObject, file.location.object(path.text),
      "it is a part of the nullable column '\(name)', and holds fill values where a row has none; name the column itself"
    )
  }
}
