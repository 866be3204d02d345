import Numerics

/// Finds a rotation from invariants that it turns, M' = K M Kᵀ: eigenvectors of one combination give it up to signs, the other
/// invariants give the signs.
///
/// Umeyama, "An eigendecomposition approach to weighted graph matching problems", IEEE Trans. Pattern Anal. Mach. Intell. 10, 1988;
/// signs by the leading eigenvector of their comparisons: Singer, "Angular synchronization by eigenvectors", Appl. Comput. Harmon. Anal. 30, 2011.
struct EigenvectorAlignment: Sendable {
  let agreement: KeyAgreement
  let compute: Compute
  /// Combinations tried: eigenvalues of another are spaced differently.
  var attempts = 3

  private var invariants: ResidualInvariants { agreement.invariants }

  /// - Returns: the best key, its sign as the vectors have it; nil where there are no matrices, or no time.
  /// - Throws: `DecompositionError`.
  func key(
    random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws(DecompositionError) -> Tensor<Double>? {
    guard !invariants.matrices.isEmpty else { return nil }
    var best: (key: Tensor<Double>, value: Double)?
    for _ in 0..<attempts where !deadline.hasPassed {
      let coefficients = invariants.matrices.map { _ in Double.random(in: -1...1, using: &random) }
      let masked = try SymmetricEigenvectors(of: combination(coefficients, \.masked)).vectors
      let base = try SymmetricEigenvectors(of: combination(coefficients, \.base)).vectors
      let signs = signs(masked, base)
      var signed = base
      for (row, sign) in signs.enumerated() where sign < 0 {
        for column in 0..<signed.columns { signed[row, column] = -signed[row, column] }
      }
      var key = masked.times(signed, transposed: true, compute: compute)
      if agreement.vectors(key) < 0 { key.negate() }
      let value = agreement.value(key).total
      if value > best?.value ?? -.infinity { best = (key, value) }
      // All terms are within rounding of 1.
      if value > (1 - 1e-7) * Double(invariants.matrices.count + invariants.vectors.count) { break }
    }
    return best?.key
  }

  /// Σ c (M + Mᵀ)/2.
  private func combination(
    _ coefficients: [Double], _ side: KeyPath<ResidualInvariants.Matrix, Tensor<Double>>
  ) -> Tensor<Double> {
    var sum = Tensor<Double>(zeros: [invariants.width, invariants.width])
    for (matrix, coefficient) in zip(invariants.matrices, coefficients) {
      sum.add(matrix[keyPath: side], scaled: coefficient / 2)
      sum.add(matrix[keyPath: side].transposed, scaled: coefficient / 2)
    }
    return sum
  }

  /// ±1 for each pair of eigenvectors, all but for one sign that they share.
  ///
  /// In the two bases of eigenvectors an invariant's entries (a, b) differ by the factor s_a s_b: their products, summed over the
  /// invariants, are a matrix with the leading eigenvector s ∘ (positive).
  private func signs(_ masked: Tensor<Double>, _ base: Tensor<Double>) -> [Double] {
    let width = masked.rows
    var comparison = Tensor<Double>(zeros: [width, width])
    for matrix in invariants.matrices {
      let mine = masked.times(
        matrix.masked.times(masked, otherTransposed: true, compute: compute), compute: compute)
      let theirs = base.times(matrix.base.times(base, otherTransposed: true, compute: compute), compute: compute)
      comparison.withUnsafeMutableBufferPointer { sum in
        mine.withUnsafeBufferPointer { mine in
          theirs.withUnsafeBufferPointer { theirs in
            for row in 0..<width {
              for column in 0..<width where column != row {
                let product = mine[row * width + column] * theirs[row * width + column]
                sum[row * width + column] += product
                sum[column * width + row] += product
              }
            }
          }
        }
      }
    }
    return SignSynchronization(compute: compute).signs(of: comparison)
  }
}

/// Signs from pairwise comparisons, all but for one that they share (Singer 2011).
struct SignSynchronization: Sendable {
  let compute: Compute

  /// Power iteration on D^(−1/2) C D^(−1/2) + 1, D the sums of magnitudes: no row outweighs the others, and no eigenvalue is negative.
  ///
  /// - Parameter comparison: `[n, n]`, symmetric: above zero where two have the same sign.
  func signs(of comparison: Tensor<Double>) -> [Double] {
    let width = comparison.rows
    var scaled = comparison
    let scales = scaled.withUnsafeMutableBufferPointer { entries in
      let scales = (0..<width).map { row in
        var sum = 0.0
        for column in 0..<width { sum += abs(entries[row * width + column]) }
        return sum > 0 ? 1 / sum.squareRoot() : 0
      }
      for row in 0..<width {
        for column in 0..<width { entries[row * width + column] *= scales[row] * scales[column] }
      }
      return scales
    }
    // The row with the largest sum is the best first reference.
    let reference = scales.indices.filter { scales[$0] > 0 }.min { scales[$0] < scales[$1] } ?? 0
    var vector = (0..<width).map { $0 == reference ? 1.0 : 0.0 }
    for _ in 0..<200 {
      let image = Tensor(vector, shape: [1, width]).times(scaled, compute: compute).elements
      var next = zip(vector, image).map { $0 + $1 }
      let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard length > 0, length.isFinite else { break }
      next = next.map { $0 / length }
      let change = zip(next, vector).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      vector = next
      if change < 1e-20 { break }
    }
    return vector.map { $0 < 0 ? -1 : 1 }
  }
}

extension Tensor where Element: SignedNumeric {
  mutating func negate() {
    withUnsafeMutableBufferPointer { entries in
      for index in entries.indices { entries[index] = -entries[index] }
    }
  }
}

/// Finds a permutation from what it does to the coordinates one by one: each has a fingerprint of its entries in vectors of the space
/// and on the diagonals of products, that other keys do not change.
///
/// A matching of coordinates by weights, as a linear assignment: Ainsworth, Hayase and Srinivasa, Git Re-Basin, ICLR 2023, section 3.2.
struct PermutationFingerprints: Sendable {
  /// `[d, features]`, features scaled by the base's spread.
  private let masked: Tensor<Double>
  private let base: Tensor<Double>

  init(_ invariants: ResidualInvariants) {
    var features: [(masked: [Double], base: [Double])] = []
    for vector in invariants.vectors + invariants.diagonals where vector.base.count == invariants.width {
      let mean = vector.base.reduce(0, +) / Double(vector.base.count)
      let spread = (vector.base.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(vector.base.count)).squareRoot()
      // All the same but for rounding: it tells no coordinate from another.
      guard spread > 1e-5 * abs(mean), spread.isFinite else { continue }
      features.append((vector.masked.map { ($0 - mean) / spread }, vector.base.map { ($0 - mean) / spread }))
    }
    let width = invariants.width
    var (mine, theirs) = (
      Tensor<Double>(zeros: [width, features.count]), Tensor<Double>(zeros: [width, features.count])
    )
    for (column, feature) in features.enumerated() {
      for row in 0..<width {
        mine[row, column] = feature.masked[row]
        theirs[row, column] = feature.base[row]
      }
    }
    (masked, base) = (mine, theirs)
  }

  /// For each masked coordinate the plain one with the nearest fingerprint; where that is not one to one, the matching with the smallest
  /// sum of squared distances.
  func match(compute: Compute) -> [Int] {
    let width = masked.rows
    guard masked.columns > 0 else { return Array(0..<width) }
    return NearestMatching(
      products: masked.times(base, otherTransposed: true, compute: compute), squares: base.squaredNorms
    ).columns
  }
}
