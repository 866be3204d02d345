/// Counts NaNs by reading a float array once, block by block.
struct MissingValueCount {
  let array: StoredArray

  /// nil unless the array holds floats and its rows are small enough to be read one by one.
  func count() throws(DatasetError) -> Int? {
    guard array.element.isFloat, array.columns <= ChunkPlan.largestRowBytes / 4 else { return nil }
    guard array.rows > 0, array.columns > 0 else { return 0 }
    let block = min(array.plan.rowBlock, array.rows)
    var buffer = [Float](repeating: 0, count: block * array.columns)
    var missing = 0
    var start = 0
    while start < array.rows {
      let rows = start..<min(start + block, array.rows)
      try array.read(rows: rows, as: .float, into: &buffer)
      for value in buffer.prefix(rows.count * array.columns) where value.isNaN { missing += 1 }
      start = rows.upperBound
    }
    return missing
  }
}
