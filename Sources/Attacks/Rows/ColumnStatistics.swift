import Foundation
import Tensors

/// Which masked column is which public one, by what a permutation of columns leaves as it is: each column's values in order, its moments, and
/// then its covariances with the columns matched already.
struct ColumnStatistics: Sendable {
  /// Points of a column's distribution that are compared.
  private static let quantiles = 32
  /// Above this many columns the assignment is greedy: the exact one takes their number to the third power.
  private static let mostAssigned = 512
  private static let covarianceRounds = 8

  let workers: Workers

  /// The masked rows' columns in the sample's order, with the sign turned where that fits better, `[n, d]`.
  ///
  /// - Parameters:
  ///   - masked, sample: `[n, w]` and `[s, d]`, d ≤ w.
  func reconstruction(
    masked: Tensor<Double>, sample: Tensor<Double>, isSigned: Bool, until deadline: Deadline
  ) -> Tensor<Double> {
    let (d, w) = (sample.columns, masked.columns)
    let wanted = Self.profiles(of: sample)
    // With signs, the columns turned round are candidates too: w … 2 w − 1.
    let pool = isSigned ? Self.joined(masked) : masked
    let found = Self.profiles(of: pool)
    var similarity = Neighbours.squaredDistances(wanted, found, workers: workers)
    similarity.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index].negate() } }
    var matching = assign(similarity, originals: w)

    let sampleCovariance = Self.covariance(of: sample, workers: workers)
    let poolCovariance = Self.covariance(of: pool, workers: workers)
    for _ in 0..<Self.covarianceRounds {
      if deadline.hasPassed { break }
      // Row c: masked column c's covariances with the columns that the sample's columns are matched with.
      let seen = poolCovariance.selecting(rows: matching).transposed
      var scores = Neighbours.squaredDistances(sampleCovariance, seen, workers: workers)
      let weight = Self.mean(of: scores) / max(-Self.mean(of: similarity), 1e-30)
      scores.withUnsafeMutableBufferPointer { target in
        similarity.withUnsafeBufferPointer { source in
          for index in source.indices { target[index] = weight * source[index] - target[index] }
        }
      }
      let next = assign(scores, originals: w)
      if next == matching { break }
      matching = next
    }
    var result = Tensor<Double>(uninitialized: [masked.rows, d])
    result.withUnsafeMutableBufferPointer { target in
      pool.withUnsafeBufferPointer { source in
        for row in 0..<masked.rows {
          for column in 0..<d { target[row * d + column] = source[row * pool.columns + matching[column]] }
        }
      }
    }
    return result
  }

  /// How little the columns' distributions differ from the sample's: the mean squared distance of quantiles. The attacker's own measure.
  static func misfit(_ rows: Tensor<Double>, sample: Tensor<Double>) -> Double {
    profiles(of: rows).squaredDistance(to: profiles(of: sample)) / Double(max(1, sample.columns))
  }

  /// For each row of `scores` a column, of `c` and `c + originals` at most one.
  private func assign(_ scores: Tensor<Double>, originals: Int) -> [Int] {
    let (rows, width) = (scores.rows, scores.columns)
    // Of a column and its opposite the better one stands for both.
    var best = Tensor<Double>(uninitialized: [rows, originals])
    for row in 0..<rows {
      for column in 0..<originals {
        let score = scores[row, column]
        best[row, column] = width > originals ? max(score, scores[row, column + originals]) : score
      }
    }
    let chosen = rows <= Self.mostAssigned ? LinearAssignment.maximum(best) : Self.greedy(best)
    return chosen.enumerated().map { row, column in
      width > originals && scores[row, column + originals] > scores[row, column] ? column + originals : column
    }
  }

  /// The rows with the best match first, each with the best column left.
  private static func greedy(_ scores: Tensor<Double>) -> [Int] {
    let (rows, columns) = (scores.rows, scores.columns)
    return scores.withUnsafeBufferPointer { elements in
      let largest = (0..<rows).map { row in elements[row * columns..<(row + 1) * columns].max() ?? 0 }
      var result = [Int](repeating: 0, count: rows)
      var isTaken = [Bool](repeating: false, count: columns)
      for row in (0..<rows).sorted(by: { largest[$0] > largest[$1] }) {
        var best = (column: -1, score: -Double.infinity)
        for column in 0..<columns where !isTaken[column] {
          let score = elements[row * columns + column]
          if best.column < 0 || score > best.score { best = (column, score) }
        }
        result[row] = best.column
        isTaken[best.column] = true
      }
      return result
    }
  }

  /// `[columns, quantiles + 3]`: each column's values in order at evenly spaced places, then its mean, deviation and the cube root of its
  /// third moment, all in the column's own unit so that distances of any of them count alike.
  private static func profiles(of rows: Tensor<Double>) -> Tensor<Double> {
    let (n, count) = (rows.rows, rows.columns)
    let values = rows.transposed
    var result = Tensor<Double>(uninitialized: [count, quantiles + 3])
    for column in 0..<count {
      let sorted = values.slice(rows: column..<column + 1).elements.sorted()
      for point in 0..<quantiles {
        let place = (Double(point) + 0.5) / Double(quantiles) * Double(n - 1)
        let lower = Int(place)
        let part = place - Double(lower)
        result[column, point] = sorted[lower] * (1 - part) + sorted[min(n - 1, lower + 1)] * part
      }
      let mean = sorted.reduce(0, +) / Double(n)
      let second = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)
      let third = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) * ($1 - mean) } / Double(n)
      // Each counts as much as all quantiles together: a rare value shows in moments only.
      let weight = Double(quantiles).squareRoot()
      result[column, quantiles] = weight * mean
      result[column, quantiles + 1] = weight * second.squareRoot()
      result[column, quantiles + 2] = weight * cbrt(third)
    }
    return result
  }

  private static func covariance(of rows: Tensor<Double>, workers: Workers) -> Tensor<Double> {
    let centred = rows.subtracting(rows.columnMeans)
    return centred.times(centred, transposed: true, workers: workers)
      .scalingRows(by: [Double](repeating: 1 / Double(max(1, rows.rows)), count: rows.columns))
  }

  private static func mean(of matrix: Tensor<Double>) -> Double {
    matrix.withUnsafeBufferPointer { $0.reduce(0, +) } / Double(max(1, matrix.count))
  }

  /// `[n, 2 w]`: the columns, then minus the columns.
  private static func joined(_ rows: Tensor<Double>) -> Tensor<Double> {
    let width = rows.columns
    var result = Tensor<Double>(uninitialized: [rows.rows, 2 * width])
    result.withUnsafeMutableBufferPointer { target in
      rows.withUnsafeBufferPointer { source in
        for index in source.indices {
          let place = index / width * 2 * width + index % width
          target[place] = source[index]
          target[place + width] = -source[index]
        }
      }
    }
    return result
  }
}
