import Foundation
import Numerics

/// The directions in which rows vary most.
struct PrincipalComponents: Sendable {
  let mean: [Double]
  /// Variances along the directions, descending, none of them 0.
  let variances: [Double]
  /// `[r, w]`: orthonormal, in the order of `variances`, signs arbitrary.
  let directions: Tensor<Double>
  /// `[n, r]`: the rows less their mean along the directions.
  let scores: Tensor<Double>

  /// From the smaller of the two Gram matrices, w × w or n × n.
  ///
  /// - Parameters:
  ///   - rows: `[n, w]`.
  ///   - maxComponents: components wanted at most; those below `floor` of the first one's variance are left out, being rounding.
  /// - Throws: `DecompositionError`.
  init(of rows: Tensor<Double>, maxComponents: Int, floor: Double = 1e-9, compute: Compute) throws(DecompositionError) {
    let mean = rows.columnMeans
    let centred = rows.subtracting(mean)
    let isTall = centred.rows >= centred.columns
    let gram = centred.times(centred, transposed: isTall, otherTransposed: !isTall, compute: compute)
    let eigen = try SymmetricEigenvectors(of: gram)
    let order = Array(eigen.values.indices.reversed())
    let largest = eigen.values.last ?? 0
    let kept = Array(order.prefix(maxComponents).prefix { eigen.values[$0] > floor * largest && eigen.values[$0] > 0 })
    let vectors = eigen.vectors.selecting(rows: kept)
    let sums = kept.map { eigen.values[$0] }
    self.mean = mean
    variances = sums.map { $0 / Double(max(1, rows.rows)) }
    if isTall {
      directions = vectors
      scores = centred.times(vectors, otherTransposed: true, compute: compute)
    } else {
      let roots = sums.map { $0.squareRoot() }
      directions = vectors.times(centred, compute: compute).scalingRows(by: roots.map { 1 / $0 })
      scores = vectors.transposed.scalingColumns(by: roots)
    }
  }
}

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

  let compute: Compute
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
        let start = try Self.randomTurn(rows.columns, random: &random, compute: compute)
        let turn = try fixedPoint(columns, function: function, start: start, until: deadline)
        let negentropy = Self.negentropy(turn.times(columns, compute: compute))
        if negentropy > best?.negentropy ?? -1 { best = Result(turn: turn, negentropy: negentropy) }
      }
    }
    if let best { return best }
    return Result(turn: try Self.randomTurn(rows.columns, random: &random, compute: compute), negentropy: 0)
  }

  /// Uniform over the orthogonal matrices.
  static func randomTurn(
    _ size: Int, random: inout some RandomNumberGenerator, compute: Compute
  ) throws -> Tensor<Double> {
    let gaussian = Tensor(GaussianNumbers.fill(size * size, random: &random), shape: [size, size])
    return try SingularValues(of: gaussian).nearestIsometry(tolerance: 0, compute: compute)
  }

  private func fixedPoint(
    _ columns: Tensor<Double>, function: NonLinearity, start: Tensor<Double>, until deadline: Deadline
  ) throws -> Tensor<Double> {
    let (k, n) = (columns.rows, columns.columns)
    var turn = start
    for _ in 0..<iterations {
      if deadline.hasPassed { break }
      // w ← E[z g(wᵀz)] − E[g'(wᵀz)] w, then all of them made orthogonal.
      var sources = turn.times(columns, compute: compute)
      let slopes = apply(function, to: &sources)
      var next = sources.times(columns, otherTransposed: true, compute: compute)
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
        compute.workers.perform(pieces: k) { row in
          totals.base[row] = function.apply(values.base + row * n, count: n)
        }
      }
    }
    return slopes
  }

  /// (W Wᵀ)^(−1/2) W.
  private func decorrelate(_ matrix: Tensor<Double>) throws -> Tensor<Double> {
    let eigen = try SymmetricEigenvectors(of: matrix.times(matrix, otherTransposed: true, compute: compute))
    let floor = 1e-14 * max(eigen.values.last ?? 0, 1e-300)
    let parts = eigen.vectors.times(matrix, compute: compute)
      .scalingRows(by: eigen.values.map { 1 / max($0, floor).squareRoot() })
    return eigen.vectors.times(parts, transposed: true, compute: compute)
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

/// The functions g of FastICA's fixed point (Hyvärinen, IEEE Trans. Neural Netw. 10(3), 1999; Hyvärinen and Oja, Neural Netw. 13, 2000).
enum NonLinearity: CaseIterable, Sendable {
  /// tanh u, of ln cosh u: for most sources.
  case logcosh
  /// u exp(−u²/2): for heavy tails and outliers.
  case exponential
  /// u³, of the kurtosis: for light tails, such as uniform or two-valued sources.
  case cube
  /// u², of the skewness: for lopsided sources.
  case skew

  /// Replaces each value by g and returns the sum of g'.
  func apply(_ values: UnsafeMutablePointer<Double>, count: Int) -> Double {
    var sum = 0.0
    switch self {
    case .logcosh:
      for index in 0..<count {
        let value = tanh(values[index])
        sum += 1 - value * value
        values[index] = value
      }
    case .exponential:
      for index in 0..<count {
        let square = values[index] * values[index]
        let bell = exp(-square / 2)
        sum += (1 - square) * bell
        values[index] *= bell
      }
    case .cube:
      for index in 0..<count {
        let square = values[index] * values[index]
        sum += 3 * square
        values[index] *= square
      }
    case .skew:
      for index in 0..<count {
        sum += 2 * values[index]
        values[index] *= values[index]
      }
    }
    return sum
  }
}

/// Independent standard normal numbers for attacks. Keys are never drawn from these: an owner's come from a cryptographic stream.
package enum GaussianNumbers {
  /// Two at a time from two uniform numbers (Box and Muller, Ann. Math. Stat. 29, 1958).
  package static func fill(_ count: Int, random: inout some RandomNumberGenerator) -> [Double] {
    var numbers: [Double] = []
    numbers.reserveCapacity(count + 1)
    while numbers.count < count {
      // 53 bits, never 0: the logarithm stays finite.
      let radius = (-2 * log((Double(random.next() >> 11) + 1) * 0x1p-53)).squareRoot()
      let angle = 2 * Double.pi * Double(random.next() >> 11) * 0x1p-53
      numbers.append(radius * cos(angle))
      numbers.append(radius * sin(angle))
    }
    if numbers.count > count { numbers.removeLast() }
    return numbers
  }
}
