import Architecture
import Tensors

/// The best of what can be made of known rows, by its error on known rows that it was not fitted to: all of it is the attacker's to try.
struct KnownRowsEstimator {
  let workers: Workers

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
  /// - Throws: `DecompositionError`.
  func estimates(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, group: SymmetryGroup,
    random: inout some RandomNumberGenerator
  ) throws(DecompositionError) -> Tensor<Double> {
    var best: Outcome
    if group == .permutation || group == .signedPermutation {
      best = columnMatching(plain: plain, masked: masked, others: others, isSigned: group == .signedPermutation)
    } else {
      best = try rotation(plain: plain, masked: masked, others: others, random: &random)
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
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, random: inout some RandomNumberGenerator
  ) throws(DecompositionError) -> Outcome {
    func regression(
      _ origin: InnerProductRegression.Origin, _ penalties: [Double]
    ) throws(DecompositionError) -> (InnerProductRegression, Outcome) {
      let fit = try InnerProductRegression(
        plain: plain, masked: masked, origin: origin, penalties: penalties, random: &random, workers: workers)
      return (fit, Outcome(estimates: others, held: fit.leaveOneOut, heldPlain: plain))
    }
    // Without noise the equations hold and only their rounding calls for a penalty.
    if isExact(plain: plain, masked: masked) {
      var (fit, outcome) = try regression(.plaintext, [1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7])
      outcome.estimates = fit.predict(others)
      return outcome
    }
    let penalties = [1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]
    var (fit, best) = try regression(.plaintext, penalties)
    if plain.rows > 2 {
      let (centred, outcome) = try regression(.mean, penalties)
      if outcome.error < best.error { (fit, best) = (centred, outcome) }
    }
    best.estimates = fit.predict(others)
    if plain.rows >= 8, let turned = try procrustes(plain: plain, masked: masked, others: others) {
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
    let inner = plain.times(plain, otherTransposed: true, workers: workers)
    var outer = masked.times(masked, otherTransposed: true, workers: workers)
    let constant: Double = masked.columns > plain.columns ? 1 : 0
    outer.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] -= constant } }
    return outer.squaredDistance(to: inner) <= 1e-12 * (inner.sumOfSquares + constant)
  }

  /// Fitted to seven known rows of eight for the error, then to all of them.
  private func procrustes(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>
  ) throws(DecompositionError) -> Outcome? {
    let held = max(2, plain.rows / 8)
    let (heldPlain, heldMasked) = (plain.slice(rows: 0..<held), masked.slice(rows: 0..<held))
    let fitted = held..<plain.rows
    let part = try ProcrustesMap(plain: plain.slice(rows: fitted), masked: masked.slice(rows: fitted), workers: workers)
    let mean = plain.slice(rows: fitted).columnMeans
    let full = part.predict(heldMasked).subtracting(mean)
    let wanted = heldPlain.subtracting(mean)
    // The factor with the least squared error: less than 1 where noise is in the estimate.
    let size = full.sumOfSquares
    let cross = (size + wanted.sumOfSquares - full.squaredDistance(to: wanted)) / 2
    let shrinkage = size > 0 ? min(1, max(0, cross / size)) : 0
    let whole = try ProcrustesMap(plain: plain, masked: masked, workers: workers)
    return Outcome(
      estimates: whole.predict(others, shrinkage: shrinkage), held: part.predict(heldMasked, shrinkage: shrinkage),
      heldPlain: heldPlain)
  }

  /// Matched by all known rows; held out is a quarter of them, matched by the rest.
  private func columnMatching(
    plain: Tensor<Double>, masked: Tensor<Double>, others: Tensor<Double>, isSigned: Bool
  ) -> Outcome {
    let estimates = ColumnMatching(plain: plain, masked: masked, isSigned: isSigned, workers: workers).predict(others)
    let held = plain.rows / 4
    guard held > 0 else {
      return Outcome(estimates: estimates, held: plain.slice(rows: 0..<0), heldPlain: plain.slice(rows: 0..<0))
    }
    let fitted = held..<plain.rows
    let part = ColumnMatching(
      plain: plain.slice(rows: fitted), masked: masked.slice(rows: fitted), isSigned: isSigned, workers: workers)
    return Outcome(
      estimates: estimates, held: part.predict(masked.slice(rows: 0..<held)), heldPlain: plain.slice(rows: 0..<held))
  }
}
