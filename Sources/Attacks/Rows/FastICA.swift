import Foundation
import Tensors

/// Independent component analysis: the turn of whitened rows whose columns are least Gaussian, all columns at once.
///
/// The fixed point of Hyvärinen, IEEE Trans. Neural Netw. 10(3), 1999, with symmetric decorrelation; Hyvärinen and Oja, Neural Netw. 13,
/// 2000, section 6.
struct FastICA: Sendable {
  struct Result: Sendable {
    /// `[k, k]`, orthogonal: components = whitened rows · turnᵀ.
    let turn: Tensor<Double>
    /// Σ over components of the negentropy's approximation: how far from Gaussian they are, to an attacker's eyes.
    let negentropy: Double
  }

  let workers: Workers
  var iterations = 200
  /// Of 1 − |⟨w, w before⟩|, the largest over the components.
  var tolerance = 1e-5

  /// Every non-linearity in turn from a random start, `restarts` times over, until the deadline; the least Gaussian result.
  ///
  /// - Parameter rows: `[n, k]`, white: k uncorrelated columns of mean 0 and variance 1; k at least 1.
  /// - Throws: `DecompositionError`.
  func separate(
    _ rows: Tensor<Double>, restarts: Int, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Result {
    // Components on rows, so that a component's values lie together.
    let columns = rows.transposed
    var best: Result?
    for _ in 0..<max(1, restarts) {
      for function in NonLinearity.allCases {
        if let best, deadline.hasPassed { return best }
        let start = try Self.randomTurn(rows.columns, random: &random, workers: workers)
        let turn = try fixedPoint(columns, function: function, start: start, until: deadline)
        let negentropy = Self.negentropy(turn.times(columns, workers: workers))
        if negentropy > best?.negentropy ?? -1 { best = Result(turn: turn, negentropy: negentropy) }
      }
    }
    if let best { return best }
    return Result(turn: try Self.randomTurn(rows.columns, random: &random, workers: workers), negentropy: 0)
  }

  /// Uniform over the orthogonal matrices.
  static func randomTurn(
    _ size: Int, random: inout some RandomNumberGenerator, workers: Workers
  ) throws -> Tensor<Double> {
    let gaussian = Tensor(GaussianNumbers.fill(size * size, random: &random), shape: [size, size])
    return try SingularValues(of: gaussian).nearestIsometry(tolerance: 0, workers: workers)
  }

  private func fixedPoint(
    _ columns: Tensor<Double>, function: NonLinearity, start: Tensor<Double>, until deadline: Deadline
  ) throws -> Tensor<Double> {
    let (k, n) = (columns.rows, columns.columns)
    var turn = start
    for _ in 0..<iterations {
      if deadline.hasPassed { break }
      // w ← E[z g(wᵀz)] − E[g'(wᵀz)] w, then all of them made orthogonal.
      var sources = turn.times(columns, workers: workers)
      let slopes = apply(function, to: &sources)
      var next = sources.times(columns, otherTransposed: true, workers: workers)
      next.withUnsafeMutableBufferPointer { target in
        turn.withUnsafeBufferPointer { source in
          for index in source.indices {
            target[index] = (target[index] - slopes[index / k] * source[index]) / Double(n)
          }
        }
      }
      let decorrelated = try decorrelate(next)
      let agreement = (0..<k).map { row in
        abs((0..<k).reduce(0.0) { $0 + decorrelated[row, $1] * turn[row, $1] })
      }
      turn = decorrelated
      if let least = agreement.min(), least > 1 - tolerance { break }
    }
    return turn
  }

  /// g of every element; returns each row's sum of g'.
  private func apply(_ function: NonLinearity, to sources: inout Tensor<Double>) -> [Double] {
    let (k, n) = (sources.rows, sources.columns)
    var slopes = [Double](repeating: 0, count: k)
    sources.withUnsafeMutableBufferPointer { elements in
      slopes.withUnsafeMutableBufferPointer { sums in
        guard let elements = elements.baseAddress, let sums = sums.baseAddress else { return }
        // Views are Sendable because each piece writes its own rows only: here row r and sum r.
        let (values, totals) = (MatrixView(elements, rows: k, columns: n), MatrixView(sums, rows: k, columns: 1))
        workers.perform(pieces: k) { row in
          totals.base[row] = function.apply(values.base + row * n, count: n)
        }
      }
    }
    return slopes
  }

  /// (W Wᵀ)^(−1/2) W.
  private func decorrelate(_ matrix: Tensor<Double>) throws -> Tensor<Double> {
    let eigen = try SymmetricEigenvectors(of: matrix.times(matrix, otherTransposed: true, workers: workers))
    let floor = 1e-14 * max(eigen.values.last ?? 0, 1e-300)
    let parts = eigen.vectors.times(matrix, workers: workers)
      .scalingRows(by: eigen.values.map { 1 / max($0, floor).squareRoot() })
    return eigen.vectors.times(parts, transposed: true, workers: workers)
  }

  /// k₁ E[y exp(−y²/2)]² + k₂ (E[exp(−y²/2)] − √½)², summed over components y of variance 1 (Hyvärinen, NIPS 1997).
  private static func negentropy(_ components: Tensor<Double>) -> Double {
    let (k, n) = (components.rows, components.columns)
    let (odd, even) = (36 / (8 * 3.0.squareRoot() - 9), 24 / (16 * 3.0.squareRoot() - 27))
    return components.withUnsafeBufferPointer { elements in
      var total = 0.0
      for row in 0..<k {
        var (first, second) = (0.0, 0.0)
        for index in row * n..<(row + 1) * n {
          let value = elements[index]
          let bell = exp(-value * value / 2)
          first += value * bell
          second += bell
        }
        let (a, b) = (first / Double(n), second / Double(n) - 0.5.squareRoot())
        total += odd * a * a + even * b * b
      }
      return total
    }
  }
}
