/// An N × L dataset of integers, read by blocks of rows.
struct TokenMatrix: Sendable {
  let array: StoredArray

  /// - Throws: `wrongType`, `wrongRank`, `empty`, `tooLarge`.
  init(_ array: StoredArray, _ content: String) throws(DatasetError) {
    guard array.element.isInteger else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element); \(content) are integers")
    }
    guard array.shape.count == 2 else {
      throw DatasetError(
        .wrongRank, array.location,
        "its shape is \(array.shape), rank \(array.shape.count); \(content) are a matrix of rank 2, rows × tokens")
    }
    guard array.rows > 0, array.columns > 0 else {
      throw DatasetError(.empty, array.location, "its shape is \(array.shape): there are no rows or no tokens")
    }
    guard array.columns <= ChunkPlan.largestRowBytes / 4 else {
      throw DatasetError(.tooLarge, array.location, "it has more than \(ChunkPlan.largestRowBytes / 4) columns")
    }
    self.array = array
  }

  /// - Throws: `shapeMismatch`.
  func checkShape(_ shape: [Int]) throws(DatasetError) {
    guard array.shape == shape else {
      throw DatasetError(.shapeMismatch, array.location, "its shape is \(array.shape), and the token ids have \(shape)")
    }
  }

  /// `rows.count` × L numbers, row-major. A number beyond 32 bits arrives as the nearest that is not.
  func read(_ rows: Range<Int>) throws(DatasetError) -> [Int32] {
    var numbers = [Int32](repeating: 0, count: rows.count * array.columns)
    try array.read(rows: rows, as: .int32, into: &numbers)
    return numbers
  }

  func failure(
    _ reason: DatasetError.Reason, row: Int, column: Int? = nil, _ problem: String
  ) -> DatasetError {
    DatasetError(reason, array.location, "row \(row)" + (column.map { ", column \($0)" } ?? "") + " " + problem)
  }
}
