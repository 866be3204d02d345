import Numerics

/// Textbook linear algebra on a row-major array: the oracle for the fast paths.
struct NaiveMatrix {
  let rows: Int
  let columns: Int
  var elements: [Double]

  init(rows: Int, columns: Int, _ elements: [Double]) {
    self.rows = rows
    self.columns = columns
    self.elements = elements
  }

  init(rows: Int, columns: Int, _ element: (Int, Int) -> Double) {
    self.init(
      rows: rows, columns: columns, (0..<rows * columns).map { element($0 / columns, $0 % columns) })
  }

  init(_ tensor: Tensor<Double>) {
    self.init(rows: tensor.rows, columns: tensor.columns, tensor.elements)
  }

  var tensor: Tensor<Double> { Tensor(elements, shape: [rows, columns]) }

  subscript(row: Int, column: Int) -> Double {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  var transposed: NaiveMatrix {
    NaiveMatrix(rows: columns, columns: rows) { self[$1, $0] }
  }

  static func * (left: NaiveMatrix, right: NaiveMatrix) -> NaiveMatrix {
    var product = NaiveMatrix(
      rows: left.rows, columns: right.columns, [Double](repeating: 0, count: left.rows * right.columns))
    left.elements.withUnsafeBufferPointer { a in
      right.elements.withUnsafeBufferPointer { b in
        product.elements.withUnsafeMutableBufferPointer { c in
          for row in 0..<left.rows {
            for inner in 0..<left.columns {
              let factor = a[row * left.columns + inner]
              for column in 0..<right.columns {
                c[row * right.columns + column] += factor * b[inner * right.columns + column]
              }
            }
          }
        }
      }
    }
    return product
  }

  func map(_ transform: (Double) -> Double) -> NaiveMatrix {
    NaiveMatrix(rows: rows, columns: columns, elements.map(transform))
  }

  /// Each entry made from itself, its row and its column.
  func combined(_ transform: (Double, Int, Int) -> Double) -> NaiveMatrix {
    NaiveMatrix(rows: rows, columns: columns) { transform(self[$0, $1], $0, $1) }
  }

  /// By elimination with row pivots.
  var determinant: Double {
    var work = self
    var result = 1.0
    for column in 0..<columns {
      let pivot = (column..<rows).max { abs(work[$0, column]) < abs(work[$1, column]) } ?? column
      if pivot != column {
        for index in 0..<columns {
          (work[pivot, index], work[column, index]) = (work[column, index], work[pivot, index])
        }
        result = -result
      }
      result *= work[column, column]
      for row in (column + 1)..<max(rows, column + 1) {
        let factor = work[row, column] / work[column, column]
        for index in column..<columns { work[row, index] -= factor * work[column, index] }
      }
    }
    return result
  }

  /// Largest absolute difference over the largest absolute value.
  func relativeDistance(to other: NaiveMatrix) -> Double {
    let scale = max(elements.map(abs).max() ?? 0, Double.leastNormalMagnitude)
    return (zip(elements, other.elements).map { abs($0 - $1) }.max() ?? 0) / scale
  }
}
