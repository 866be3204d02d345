extension HDF5File {
  /// A column of integers, such as the one that `split: {by: …}` names: an integer dataset or field, N or N × 1.
  /// - Parameter rows: the number of rows it must have; nil where any number will do.
  /// - Throws: `DatasetError`: `wrongType`, `wrongRank`, `empty`, `rowCountMismatch`, and what opening and reading throw.
  package func readIntegers(path: String, rows: Int?) throws(DatasetError) -> [Int64] {
    let array = try openArray(path)
    guard array.element.isInteger else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element), and integers are due")
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
        throw DatasetError(.invalidRowNumbers, location, "entry \(index) is no row number: rows are 0–\(rows - 1)")
      }
      guard seen.insert(number).inserted else {
        throw DatasetError(.invalidRowNumbers, location, "entry \(index) repeats a row number that was listed before")
      }
      result.append(Int(number))
    }
    return result
  }
}
