import Tensors

/// How well columns of the truth are matched by columns that an attack claims, by Pearson's correlation.
struct ColumnCorrelations {
  /// Of the truth's columns that vary, in order.
  let columns: [Int]
  /// `[columns.count, claimed]`: correlations, 0 where a claimed column does not vary.
  private let matrix: Tensor<Double>

  /// - Parameters:
  ///   - truth: `[n, d]`.
  ///   - claimed: `[n, c]`, row by row the same.
  init(truth: Tensor<Float>, claimed: Tensor<Float>, workers: Workers) {
    let (left, varying) = Self.standardized(truth)
    let (right, _) = Self.standardized(claimed)
    let all = left.times(right, transposed: true, workers: workers)
    columns = varying
    matrix = all.selecting(rows: varying)
  }

  /// The largest absolute correlation of each varying column with any claimed one; 0 without claims.
  var best: [Double] {
    let width = matrix.columns
    return matrix.withUnsafeBufferPointer { elements in
      columns.indices.map { row in
        (row * width..<(row + 1) * width).reduce(0) { max($0, abs(elements[$1])) }
      }
    }
  }

  /// The absolute correlation of each varying column with the claimed column of the same number.
  var same: [Double] { columns.indices.map { abs(matrix[$0, columns[$0]]) } }

  /// Columns less their means, of length 1; a column that does not vary (beyond rounding) is 0.
  private static func standardized(_ rows: Tensor<Float>) -> (Tensor<Double>, varying: [Int]) {
    let wide = rows.converted(to: Double.self)
    let means = wide.columnMeans
    let centred = wide.subtracting(means)
    var sums = [Double](repeating: 0, count: centred.columns)
    let width = centred.columns
    centred.withUnsafeBufferPointer { elements in
      for index in elements.indices { sums[index % width] += elements[index] * elements[index] }
    }
    let count = Double(max(1, rows.rows))
    // Float32 keeps 24 bits: a spread below 1e-6 of the mean is rounding.
    let factors = zip(sums, means).map { sum, mean in
      sum > count * max(1e-12 * mean * mean, 1e-30) ? 1 / sum.squareRoot() : 0
    }
    return (centred.scalingColumns(by: factors), factors.indices.filter { factors[$0] > 0 })
  }
}
