import Foundation

/// ε at a δ by the distribution of the privacy loss: `lower` ≤ the exact ε ≤ `upper`.
package struct PrivacyLossEpsilon: Equatable, Sendable {
  package let lower: Double
  /// Of the grid, without its errors: what figures without slack are compared with.
  package let estimate: Double
  /// What may be promised.
  package let upper: Double
}

/// The privacy loss of any steps of subsampled Gaussian mechanisms, composed numerically (Gopi, Lee & Wutschitz, "Numerical
/// Composition of Differential Privacy", 2021): discretised losses, convolved by fast Fourier transforms, with bounds on both
/// errors. Adding and removing a record are both composed, and the worse one counts.
package struct PrivacyLossAccountant: Sendable {
  private let composed: ComposedPrivacyLoss

  /// The errors of ε and δ of the figures, proven but for rounding, for which each result allows beside them.
  package var epsilonError: Double { composed.grid.epsilonError }
  package var deltaError: Double { composed.grid.deltaError }
  /// The number of cells of the grid, a power of two; time and memory (about 60 bytes a cell) go with it.
  package var cells: Int { composed.grid.count }

  package static let standardMaximumCells = 1 << 22

  /// Composes with an error of ε that is asked for: 0 < `epsilonError` ≤ 100, 0 < `deltaError` < 1, 1024 ≤ `maximumCells` ≤ 2^26.
  /// Throws `PrivacyError`: `outOfRange`, `countOutOfRange`, `empty`, `gridTooFine` or `lossTooLarge`.
  package init(
    _ mechanisms: [SubsampledGaussian], epsilonError: Double, deltaError: Double,
    maximumCells: Int = standardMaximumCells
  ) throws {
    let merged = try SubsampledGaussian.merged(mechanisms)
    self.init(
      merged,
      on: try PrivacyLossGrid(
        mechanisms: merged, epsilonError: epsilonError, deltaError: deltaError, maximumCells: maximumCells))
  }

  /// Composes with the smallest error of ε that a number of cells gives: a power of two from 1024 to 2^26. Throws as above.
  package init(_ mechanisms: [SubsampledGaussian], cells: Int, deltaError: Double) throws {
    let merged = try SubsampledGaussian.merged(mechanisms)
    self.init(merged, on: try PrivacyLossGrid(mechanisms: merged, cells: cells, deltaError: deltaError))
  }

  private init(_ merged: [SubsampledGaussian], on grid: PrivacyLossGrid) {
    composed = PrivacyLossSpectra(of: merged, on: grid).composed(steps: merged.map(\.steps))
  }

  /// ε at δ. 0 < δ < 1 (`outOfRange`), and δ at least twice the error of δ with rounding (`deltaTooSmall`).
  package func epsilon(delta: Double) throws -> PrivacyLossEpsilon { try composed.bounds(delta: delta) }

  /// δ at ε ≥ 0, by the grid alone. `outOfRange` otherwise.
  package func delta(epsilon: Double) throws -> Double {
    guard epsilon >= 0, epsilon.isFinite else {
      throw PrivacyError.outOfRange(name: "ε", value: epsilon, range: "0 or above, and finite")
    }
    return composed.delta(epsilon: epsilon)
  }
}

extension ComposedPrivacyLoss {
  /// δ(ε + ε_error) − δ_error ≤ δ of the grid at ε ≤ δ(ε − ε_error) + δ_error, solved for ε.
  func bounds(delta: Double) throws -> PrivacyLossEpsilon {
    try RenyiAccountant.check(delta: delta)
    let error = grid.deltaError + roundoff
    guard error <= delta / 2 else {
      throw PrivacyError.deltaTooSmall(delta: delta, error: grid.deltaError, roundoff: roundoff)
    }
    return PrivacyLossEpsilon(
      lower: max(0, epsilon(delta: delta + error) - epsilonError), estimate: epsilon(delta: delta),
      upper: epsilon(delta: delta - error) + epsilonError)
  }
}
