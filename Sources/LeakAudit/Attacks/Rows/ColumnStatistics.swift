import Foundation
import Numerics

/// Which masked column is which public one, by what a permutation of columns leaves as it is: each column's values in order, its moments, the size of its covariances, and
/// then its covariances with the columns matched already.
struct ColumnStatistics: Sendable {
  /// Points of a column's distribution that are compared.
  private static let quantiles = 32
  /// Above this many columns the assignment is greedy: the exact one takes their number to the third power.
  private static let maxExactlyAssigned = 512
  private static let covarianceRounds = 16

  let compute: Compute

  /// The masked rows' columns in the sample's order, with the sign turned where that fits better, `[n, d]`.
  ///
  /// - Parameters:
  ///   - masked, sample: `[n, w]` and `[s, d]`, d ≤ w.
  ///   - hint: the plaintext as another method sees it, `[n, d]`: a second matching to start from. The likelier end is kept.
  func reconstruction(
    masked: Tensor<Double>, sample: Tensor<Double>, hint: Tensor<Double>, isSigned: Bool, until deadline: Deadline
  ) -> Tensor<Double> {
    let (d, w) = (sample.columns, masked.columns)
    // With signs, the columns turned round are candidates too: w … 2 w − 1.
    let pool = isSigned ? Self.joined(masked) : masked
    let covariance = (
      sample: Self.covariance(of: sample, compute: compute), pool: Self.covariance(of: pool, compute: compute)
    )
    let deviations = (0..<d).map { covariance.sample[$0, $0].squareRoot() }
    let evidence = MatchEvidence(
      deviations: deviations, rows: (Double(sample.rows), Double(masked.rows)), compute: compute)
    let profiles = evidence.scores(
      Self.profiles(of: sample), Self.profiles(of: pool), scale: Double(4 * Self.quantiles), freedom: 4)
    let fingerprints = (sample: Self.fingerprints(covariance.sample), pool: Self.fingerprints(covariance.pool))
    let largest = deviations.sorted(by: >).prefix(Self.quantiles)
    let byStatistics = assign(
      profiles.adding(
        evidence.scores(
          fingerprints.sample, fingerprints.pool, scale: largest.reduce(0) { $0 + $1 * $1 },
          freedom: Double(largest.count))),
      originals: w)
    let centredHint = hint.subtracting(hint.columnMeans)
    let hinted = centredHint.transposed.squaredDistances(
      to: pool.subtracting(pool.columnMeans).transposed, compute: compute)
    let byHint = assign(
      hinted.scalingRows(by: deviations.map { -1 / max($0 * $0, 1e-30) }), originals: w)

    let total = deviations.reduce(0) { $0 + $1 * $1 }
    var matching = byStatistics
    var likelihood = -Double.infinity
    for start in [byStatistics, byHint] {
      var current = start
      for round in 0...Self.covarianceRounds {
        // Row c: masked column c's covariances with the columns that the sample's columns are matched with.
        let seen = covariance.pool.selecting(rows: current).transposed
        let scores = profiles.adding(evidence.scores(covariance.sample, seen, scale: total, freedom: Double(d)))
        let sum = current.enumerated().reduce(0) { $0 + scores[$1.offset, $1.element] }
        if sum > likelihood { (matching, likelihood) = (current, sum) }
        if round == Self.covarianceRounds || deadline.hasPassed { break }
        let next = assign(scores, originals: w)
        if next == current { break }
        current = next
      }
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
    let chosen = rows <= Self.maxExactlyAssigned ? LinearAssignment.maximum(best) : Self.greedy(best)
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

  /// `[columns, quantiles + 3]`: each column's values in order at evenly spaced places, then its mean, its deviation and its third moment
  /// over its variance: all in the column's own unit, so that they count alike.
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
      // Mean and deviation count as much as all quantiles together: a rare value shows in moments only. The third moment is the
      // most easily moved by a single value.
      let weight = Double(quantiles).squareRoot()
      result[column, quantiles] = weight * mean
      result[column, quantiles + 1] = weight * second.squareRoot()
      result[column, quantiles + 2] = weight / 4 * (second > 0 ? third / second : 0)
    }
    return result
  }

  private static func covariance(of rows: Tensor<Double>, compute: Compute) -> Tensor<Double> {
    let centred = rows.subtracting(rows.columnMeans)
    return centred.times(centred, transposed: true, compute: compute)
      .scalingRows(by: [Double](repeating: 1 / Double(max(1, rows.rows)), count: rows.columns))
  }

  /// `[columns, quantiles]`: each column's largest absolute covariances, in order, which say something of it before any other column is known.
  private static func fingerprints(_ covariance: Tensor<Double>) -> Tensor<Double> {
    var result = Tensor<Double>(zeros: [covariance.rows, quantiles])
    for column in 0..<covariance.rows {
      let sorted = covariance.slice(rows: column..<column + 1).elements.map(abs).sorted(by: >)
      for (point, value) in sorted.prefix(quantiles).enumerated() { result[column, point] = value }
    }
    return result
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

/// How likely columns are to be the same ones, from squared distances of their statistics: logarithms of likelihoods with Gaussian errors of
/// the size that statistics of so many rows have.
struct MatchEvidence {
  /// Of the wanted columns.
  let deviations: [Double]
  /// That the statistics of the wanted and of the candidate columns are from.
  let rows: (wanted: Double, candidates: Double)
  let compute: Compute

  /// `[d, c]`: for a wanted column j and a candidate, −freedom/2 times their squared distance over what it is expected to be if they are one
  /// column, scale · σⱼ² · (1/n + 1/s).
  ///
  /// - Parameters:
  ///   - wanted, candidates: `[d, p]` and `[c, p]`, a column's statistics on each row.
  ///   - freedom: how many independent statistics there are in p.
  func scores(
    _ wanted: Tensor<Double>, _ candidates: Tensor<Double>, scale: Double, freedom: Double
  ) -> Tensor<Double> {
    let variance = 1 / rows.wanted + 1 / rows.candidates
    // A column that does not vary in the sample may in the view, and is as exact as rounding lets it be.
    let least = 1e-6 * (deviations.max() ?? 0)
    return wanted.squaredDistances(to: candidates, compute: compute).scalingRows(
      by: deviations.map {
        let deviation = max($0, least, 1e-15)
        return -freedom / 2 / max(scale * deviation * deviation * variance, 1e-300)
      })
  }
}

/// Which masked column is which plaintext one, by their values in the known rows: what a permutation key leaves to find out.
///
/// A masked column is taken for a plaintext one with the likelihood of their differences being noise; columns that are the same in all
/// known rows are so many equal candidates, and their average is the guess with the least squared error.
struct ColumnMatching: Sendable {
  /// `[w, d]`: x̂ = x' · weights.
  private let weights: Tensor<Double>
  private let compute: Compute

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 1.
  ///   - isSigned: whether a masked column may be minus the plaintext one.
  init(plain: Tensor<Double>, masked: Tensor<Double>, isSigned: Bool, compute: Compute) {
    let (m, d, w) = (Double(plain.rows), plain.columns, masked.columns)
    var products = plain.times(masked, transposed: true, compute: compute)
    let plainLengths = plain.transposed.squaredNorms
    let maskedLengths = masked.transposed.squaredNorms
    // Squared distances, of columns and of columns with the sign changed, in one matrix [d, 2 w].
    let width = isSigned ? 2 * w : w
    var distances = Tensor<Double>(uninitialized: [d, width])
    var nearest = [Double](repeating: .infinity, count: d)
    distances.withUnsafeMutableBufferPointer { target in
      products.withUnsafeBufferPointer { product in
        for row in 0..<d {
          for column in 0..<w {
            let sum = plainLengths[row] + maskedLengths[column]
            let distance = max(0, sum - 2 * product[row * w + column])
            target[row * width + column] = distance
            nearest[row] = min(nearest[row], distance)
            guard isSigned else { continue }
            let opposite = max(0, sum + 2 * product[row * w + column])
            target[row * width + w + column] = opposite
            nearest[row] = min(nearest[row], opposite)
          }
        }
      }
    }
    // The typical difference of a column from its match; without noise, of Float32's rounding.
    let scale = plainLengths.reduce(0, +) / Double(max(1, d)) / m
    let median = nearest.sorted()[d / 2] / m
    let variance = max(median, 1e-12 * scale, 1e-30)
    // Likelihoods relative to the best; below e⁻⁵⁰ they are nothing beside it.
    let sharpness = -1 / (2 * variance)
    distances.withUnsafeMutableBufferPointer { elements in
      for row in 0..<d {
        for index in row * width..<(row + 1) * width {
          let exponent = sharpness * (elements[index] - nearest[row])
          elements[index] = exponent > -50 ? exp(exponent) : 0
        }
      }
    }
    products.withUnsafeMutableBufferPointer { target in
      distances.withUnsafeBufferPointer { likelihood in
        for row in 0..<d {
          var total = 0.0
          for index in row * width..<(row + 1) * width { total += likelihood[index] }
          for column in 0..<w {
            var weight = likelihood[row * width + column]
            if isSigned { weight -= likelihood[row * width + w + column] }
            target[row * w + column] = weight / total
          }
        }
      }
    }
    weights = products.transposed
    self.compute = compute
  }

  /// `[n, d]` for masked rows `[n, w]`.
  func predict(_ masked: Tensor<Double>) -> Tensor<Double> { masked.times(weights, compute: compute) }
}
