/// One tensor of the reference, row-major; a vector has one column.
struct NaiveParameter {
  let name: String
  let rows: Int
  let columns: Int
  let isVector: Bool
  var values: [Double]

  init(_ name: String, rows: Int, columns: Int, isVector: Bool = false) {
    self.name = name
    self.rows = rows
    self.columns = columns
    self.isVector = isVector
    values = Array(repeating: 0, count: rows * columns)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }
}
