/// An N × d dataset of numbers, or a numeric field of a compound dataset (N × 1, or N × d for an array field).
struct DenseFeatures: FeatureSource {
  private let array: StoredArray

  var rows: Int { array.rows }
  var columns: Int { array.columns }
  var preferredRowBlock: Int { min(array.plan.rowBlock, rows) }
  var inflationsPerChunk: Int { array.plan.inflationsPerChunk }

  /// - Throws: `wrongType`, `wrongRank`, `empty`.
  init(_ array: StoredArray, isField: Bool) throws(DatasetError) {
    let location = array.location
    guard array.element.isNumeric else {
      throw DatasetError(.wrongType, location, "it holds \(array.element); features must be numbers")
    }
    let rank = array.shape.count
    guard rank == 2 || (isField && rank == 1) else {
      throw DatasetError(
        .wrongRank, location,
        "its shape is \(array.shape), rank \(rank); features are a matrix of rank 2, rows × columns")
    }
    guard array.rows > 0, array.columns > 0 else {
      throw DatasetError(.empty, location, "its shape is \(array.shape): there are no rows or no columns to train on")
    }
    guard array.columns <= ChunkPlan.largestRowBytes / 4 else {
      throw DatasetError(.tooLarge, location, "it has more than \(ChunkPlan.largestRowBytes / 4) columns")
    }
    self.array = array
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
    try array.read(rows: rows, as: .float, into: UnsafeMutableRawBufferPointer(destination))
    guard array.element.isFloat else { return }
    let values = UnsafeBufferPointer(rebasing: destination.prefix(rows.count * columns))
    guard let index = FiniteCheck.firstFailure(in: values) else { return }
    throw DatasetError(
      .notFinite, array.location,
      "row \(rows.lowerBound + index / columns), column \(index % columns) is NaN, infinite or beyond the range of 32-bit "
        + "floats; features must be finite, so fill in or drop missing values first")
  }
}
