import Foundation
import Tensors

/// What columns of few distinct values, such as fingerprint bits or counts, allow beyond a linear estimate: the mean of a column's values,
/// each weighted with how likely it is to have given the estimate (Bayes' rule with Gaussian errors).
struct ValueLevels: Sendable {
  private struct Level: Sendable {
    let value: Double
    /// Logarithm of how often the column has it.
    let prior: Double
    /// What the estimate is expected to be for it.
    let centre: Double
  }

  /// Of each column; empty where the column has too many values, or one, and is left as it is.
  private let levels: [[Level]]
  private let variances: [Double]

  /// - Parameters:
  ///   - estimates: of rows that the estimator was not fitted to, `[m, d]`.
  ///   - plain: their plaintext.
  ///   - most: distinct values at most. There have to be four rows for each of them too: any column has few values in few rows.
  /// - Returns: nil where no column has few values.
  init?(estimates: Tensor<Double>, plain: Tensor<Double>, most: Int = 8) {
    let (rows, columns) = (plain.rows, plain.columns)
    let limit = min(most, rows / 4)
    guard limit > 1 else { return nil }
    let values = plain.transposed
    let guesses = estimates.transposed
    var counts: [[Double: Int]] = []
    counts.reserveCapacity(columns)
    for column in 0..<columns {
      var seen: [Double: Int] = [:]
      for row in 0..<rows where seen.count <= limit { seen[values[column, row], default: 0] += 1 }
      counts.append(seen.count > 1 && seen.count <= limit ? seen : [:])
    }
    guard counts.contains(where: { !$0.isEmpty }) else { return nil }

    // An estimator shrinks: its mean for a value is the column's plus a common part of the value's difference from the mean.
    let means = plain.columnMeans
    let guessMeans = estimates.columnMeans
    var (shared, spread) = (0.0, 0.0)
    for column in 0..<columns where !counts[column].isEmpty {
      for row in 0..<rows {
        let difference = values[column, row] - means[column]
        shared += difference * (guesses[column, row] - guessMeans[column])
        spread += difference * difference
      }
    }
    let slope = spread > 0 ? min(1, max(0, shared / spread)) : 0
    var sums = [Double](repeating: 0, count: columns)
    for column in 0..<columns where !counts[column].isEmpty {
      for row in 0..<rows {
        let expected = guessMeans[column] + slope * (values[column, row] - means[column])
        sums[column] += (guesses[column, row] - expected) * (guesses[column, row] - expected)
      }
    }
    let used = counts.filter { !$0.isEmpty }.count
    let typical = max(sums.reduce(0, +) / Double(used * rows), 1e-12)
    // A column's own variance, steadied by four rows' worth of the typical one.
    variances = sums.map { ($0 + 4 * typical) / Double(rows + 4) }
    levels = counts.enumerated().map { column, seen in
      let total = Double(rows) + 0.5 * Double(seen.count)
      return seen.sorted { $0.key < $1.key }.map { value, count in
        Level(
          value: value, prior: log((Double(count) + 0.5) / total),
          centre: guessMeans[column] + slope * (value - means[column]))
      }
    }
  }

  /// The estimates `[n, d]` with the columns of few values replaced by the expected value.
  func refine(_ estimates: Tensor<Double>) -> Tensor<Double> {
    var result = estimates
    let columns = estimates.columns
    result.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices where !levels[index % columns].isEmpty {
        let column = index % columns
        elements[index] = Self.expectation(of: levels[column], at: elements[index], variance: variances[column])
      }
    }
    return result
  }

  private static func expectation(of levels: [Level], at estimate: Double, variance: Double) -> Double {
    func score(_ level: Level) -> Double {
      level.prior - (estimate - level.centre) * (estimate - level.centre) / (2 * variance)
    }
    var largest = -Double.infinity
    for level in levels { largest = max(largest, score(level)) }
    var (total, sum) = (0.0, 0.0)
    for level in levels {
      let weight = exp(score(level) - largest)
      total += weight
      sum += weight * level.value
    }
    return sum / total
  }
}
