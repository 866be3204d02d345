import Models
import Foundation
import Numerics

/// The best of what can be made of known rows, by its error on known rows that it was not fitted to: all of it is the attacker's to try.
struct KnownRowsEstimator {
  let compute: Compute

  /// What an estimator says of the rows asked for, and of known rows that it was not fitted to.
  private struct Outcome {
    var estimates: Tensor<Double>
    var held: Tensor<Double>
    var heldPlain: Tensor<Double>

    /// Σ error² over Σ plaintext² of the known rows held out.
    var error: Double { held.squaredDistance(to: heldPlain) / max(heldPlain.sumOfSquares, 1e-30) }
  }

  /// Estimates `[n, d]` of the plaintext of `others`.
  ///
  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, the known rows, in random order; m at least 1.
  ///   - others: `[n, w]`, masked.
  ///   - deadline: after it only the first of several estimators is tried.
  /// - Throws: `DecompositionError`.
  func estimates(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, group: SymmetryGroup,
    random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws(DecompositionError) -> Tensor<Double> {
    var best: Outcome
    if group == .permutation || group == .signedPermutation {
      best = columnMatching(plain: plain, masked: masked, others: others, isSigned: group == .signedPermutation)
    } else {
      best = try rotation(plain: plain, masked: masked, others: others, random: &random, until: deadline)
    }
    // Below 1e-6 (an error of 0.1 %) there is nothing to win.
    guard best.error > 1e-6, let levels = ValueLevels(estimates: best.held, plain: best.heldPlain) else {
      return best.estimates
    }
    let refined = Outcome(
      estimates: levels.refine(best.estimates), held: levels.refine(best.held), heldPlain: best.heldPlain)
    if refined.error < 0.98 * best.error { best = refined }
    return best.estimates
  }

  private func rotation(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws(DecompositionError) -> Outcome {
    func regression(
      _ origin: InnerProductRegression.Origin, isExact: Bool = false, _ penalties: [Double]
    ) throws(DecompositionError) -> (InnerProductRegression, Outcome) {
      let fit = try InnerProductRegression(
        plain: plain, masked: masked, origin: origin, isExact: isExact, penalties: penalties, random: &random,
        compute: compute)
      return (fit, Outcome(estimates: others, held: fit.leaveOneOut, heldPlain: plain))
    }
    // Without noise the equations hold. A direction of s of the rows' size is found with Float32's rounding (6e-8) over s; those below 3e-5,
    // which would be lost in it, are what the penalty gives up.
    if isExact(plain: plain, masked: masked) {
      var (fit, outcome) = try regression(.plaintext, isExact: true, [1e-9])
      outcome.estimates = fit.predict(others)
      return outcome
    }
    let penalties = [1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]
    var (fit, best) = try regression(.plaintext, penalties)
    if plain.rows > 2 && !deadline.hasPassed {
      let (centred, outcome) = try regression(.mean, penalties)
      if outcome.error < best.error { (fit, best) = (centred, outcome) }
    }
    best.estimates = fit.predict(others)
    if plain.rows >= 8 && !deadline.hasPassed {
      let turned = try procrustes(plain: plain, masked: masked, others: others)
      // On the same rows: the regression's other rows do not count.
      let rows = turned.held.rows
      let compared = Outcome(
        estimates: best.estimates, held: best.held.slice(rows: 0..<rows), heldPlain: turned.heldPlain)
      if turned.error < compared.error { best = turned }
    }
    return best
  }

  /// Whether the masked rows' inner products are the known ones up to Float32's rounding (2⁻²⁴ each number, far less in a sum).
  private func isExact(plain: Tensor<Double>, masked: Tensor<Double>) -> Bool {
    let inner = plain.times(plain, otherTransposed: true, compute: compute)
    var outer = masked.times(masked, otherTransposed: true, compute: compute)
    let constant: Double = masked.columns > plain.columns ? 1 : 0
    outer.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] -= constant } }
    return outer.squaredDistance(to: inner) <= 1e-12 * (inner.sumOfSquares + constant)
  }

  /// Held out in turn are four parts of the known rows, or one of eight where a fit takes long.
  private func procrustes(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>
  ) throws(DecompositionError) -> Outcome {
    let isQuick = min(plain.rows, plain.columns) <= 256
    var held = (full: Tensor<Double>(zeros: [0, plain.columns]), wanted: Tensor<Double>(zeros: [0, plain.columns]))
    var means = held.full
    for part in Self.parts(of: plain.rows, count: isQuick ? 4 : 8).prefix(isQuick ? 4 : 1) {
      let fitted = plain.selecting(rows: part.fitted)
      let map = try ProcrustesMap(plain: fitted, masked: masked.selecting(rows: part.fitted), compute: compute)
      let mean = Tensor<Double>(zeros: [part.held.count, plain.columns]).adding(fitted.columnMeans)
      held.full = held.full.followed(by: map.predict(masked.slice(rows: part.held)).adding(mean, scaled: -1))
      held.wanted = held.wanted.followed(by: plain.slice(rows: part.held).adding(mean, scaled: -1))
      means = means.followed(by: mean)
    }
    let shrinkage = Self.shrinkage(of: held.full, towards: held.wanted)
    let whole = try ProcrustesMap(plain: plain, masked: masked, compute: compute)
    return Outcome(
      estimates: whole.predict(others, shrinkage: shrinkage), held: means.adding(held.full, scaled: shrinkage),
      heldPlain: plain.slice(rows: 0..<held.full.rows))
  }

  /// The factor with the least squared error: less than 1 where noise is in the estimate.
  private static func shrinkage(of estimates: Tensor<Double>, towards plain: Tensor<Double>) -> Double {
    let size = estimates.sumOfSquares
    let cross = (size + plain.sumOfSquares - estimates.squaredDistance(to: plain)) / 2
    return size > 0 ? min(1, max(0, cross / size)) : 1
  }

  /// Matched by all known rows, and drawn towards the mean of all masked rows by as much as the noise asks for; held out in turn are
  /// quarters of the known rows, matched by the rest.
  private func columnMatching(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, isSigned: Bool
  ) -> Outcome {
    // Of rows nothing is known of: noise averages out in it.
    let mean = Tensor(others.columnMeans, shape: [1, others.columns])
    func centred(_ rows: Tensor<Double>, by matching: ColumnMatching) -> (rows: Tensor<Double>, mean: [Double]) {
      let centre = matching.predict(mean).elements
      return (matching.predict(rows).subtracting(centre), centre)
    }
    var held = Tensor<Double>(zeros: [0, plain.columns])
    var means = held
    for part in Self.parts(of: plain.rows, count: min(4, plain.rows)) where !part.fitted.isEmpty {
      let matching = ColumnMatching(
        plain: plain.selecting(rows: part.fitted), masked: masked.selecting(rows: part.fitted), isSigned: isSigned,
        compute: compute)
      let found = centred(masked.slice(rows: part.held), by: matching)
      held = held.followed(by: found.rows)
      means = means.followed(by: Tensor<Double>(zeros: [part.held.count, plain.columns]).adding(found.mean))
    }
    let heldPlain = plain.slice(rows: 0..<held.rows)
    // One known row is fitted, whatever the noise: nothing says how much there is.
    let shrinkage = Self.shrinkage(of: held, towards: heldPlain.adding(means, scaled: -1))
    let found = centred(
      others, by: ColumnMatching(plain: plain, masked: masked, isSigned: isSigned, compute: compute))
    return Outcome(
      estimates: found.rows.scalingRows(by: [Double](repeating: shrinkage, count: others.rows)).adding(found.mean),
      held: means.adding(held, scaled: shrinkage), heldPlain: heldPlain)
  }

  /// `count` consecutive parts of the rows, each with the rows that are not in it; none where there are fewer rows than parts.
  private static func parts(of rows: Int, count: Int) -> [(held: Range<Int>, fitted: [Int])] {
    guard rows >= count else { return [] }
    return (0..<count).map { part in
      let held = part * rows / count..<(part + 1) * rows / count
      return (held, (0..<rows).filter { !held.contains($0) })
    }
  }
}

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
  ///   - maxValues: distinct values at most. There have to be four rows for each of them too: any column has few values in few rows.
  /// - Returns: nil where no column has few values.
  init?(estimates: Tensor<Double>, plain: Tensor<Double>, maxValues: Int = 8) {
    let (rows, columns) = (plain.rows, plain.columns)
    let limit = min(maxValues, rows / 4)
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
