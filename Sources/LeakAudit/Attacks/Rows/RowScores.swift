package import Numerics

/// ‖X̂ − X‖ over ‖X − mean‖: 0 is exact, 1 what naming the mean for every row reaches.
package struct RelativeError: Sendable {
  package let value: Double
  /// At 95 %, over the rows as independent ones: by linearization of the ratio of two sums (Cochran, Sampling Techniques, 3rd ed. 1977).
  package let interval: Interval

  /// - Parameters:
  ///   - claimed, truth: `[n, d]`, row by row the same.
  package init(of claimed: Tensor<Float>, against truth: Tensor<Float>) {
    let plain = truth.converted(to: Double.self)
    let spreads = plain.subtracting(plain.columnMeans).squaredNorms
    var difference = plain
    claimed.withUnsafeBufferPointer { source in
      difference.withUnsafeMutableBufferPointer { target in
        for index in source.indices { target[index] -= Double(source[index]) }
      }
    }
    let errors = difference.squaredNorms
    let total = spreads.reduce(0, +)
    let sum = errors.reduce(0, +)
    // Rows that are all the same, but for rounding: one of them is all of them, and what misses it is no better than a guess. Masked rows
    // are single precision, so that a row is kept to some 1e-6 of its length.
    let rounding = 1e-10 * plain.squaredNorms.reduce(0, +)
    guard total > rounding else {
      value = sum > rounding ? 1 : 0
      interval = Interval(lower: value, upper: value)
      return
    }
    let ratio = sum / total
    let n = Double(truth.rows)
    let scatter = zip(errors, spreads).reduce(0) { $0 + ($1.0 - ratio * $1.1) * ($1.0 - ratio * $1.1) }
    let deviation = (scatter * n / max(1, n - 1)).squareRoot() / total
    value = ratio.squareRoot()
    interval = Interval(
      lower: max(0, ratio - 1.96 * deviation).squareRoot(), upper: (ratio + 1.96 * deviation).squareRoot())
  }
}

/// How well columns of the truth are matched by columns that an attack claims, by the absolute value of Pearson's correlation. Of the truth's
/// columns that vary only: there is nothing to find of a constant one.
enum ColumnCorrelations {
  /// For each column of `truth` the largest correlation with any claimed one; 0 without claims.
  ///
  /// - Parameters:
  ///   - truth, claimed: `[n, d]` and `[n, c]`, row by row the same.
  static func best(_ truth: Tensor<Float>, claimed: Tensor<Float>, compute: Compute) -> [Double] {
    let (left, varying) = standardized(truth)
    let (right, _) = standardized(claimed)
    let all = left.times(right, transposed: true, compute: compute)
    let width = all.columns
    return all.withUnsafeBufferPointer { elements in
      varying.map { row in
        (row * width..<(row + 1) * width).reduce(0) { max($0, abs(elements[$1])) }
      }
    }
  }

  /// For each column of `truth` the correlation with the claimed column of the same number.
  ///
  /// - Parameters:
  ///   - truth, claimed: `[n, d]`, row by row the same.
  static func same(_ truth: Tensor<Float>, claimed: Tensor<Float>) -> [Double] {
    let (left, varying) = standardized(truth)
    let (right, _) = standardized(claimed)
    let width = left.columns
    var sums = [Double](repeating: 0, count: width)
    left.withUnsafeBufferPointer { a in
      right.withUnsafeBufferPointer { b in
        for row in 0..<left.rows {
          for column in 0..<width { sums[column] += a[row * width + column] * b[row * width + column] }
        }
      }
    }
    return varying.map { abs(sums[$0]) }
  }

  /// Columns less their means, of length 1; a column that does not vary (beyond rounding) is 0.
  private static func standardized(_ rows: Tensor<Float>) -> (Tensor<Double>, varying: [Int]) {
    let wide = rows.converted(to: Double.self)
    let means = wide.columnMeans
    let centred = wide.subtracting(means)
    var sums = [Double](repeating: 0, count: centred.columns)
    let (count, width) = (centred.rows, centred.columns)
    centred.withUnsafeBufferPointer { elements in
      for row in 0..<count {
        for column in 0..<width {
          let element = elements[row * width + column]
          sums[column] += element * element
        }
      }
    }
    // Float32 keeps 24 bits: a spread below 1e-6 of the mean is rounding.
    let factors = zip(sums, means).map { sum, mean in
      sum > Double(count) * max(1e-12 * mean * mean, 1e-30) ? 1 / sum.squareRoot() : 0
    }
    return (centred.scalingColumns(by: factors), factors.indices.filter { factors[$0] > 0 })
  }
}
