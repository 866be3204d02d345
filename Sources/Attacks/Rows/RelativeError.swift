package import Tensors

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
