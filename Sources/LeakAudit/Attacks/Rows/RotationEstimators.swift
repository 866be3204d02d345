import Numerics

/// Plaintext rows from the inner products of masked ones with those whose plaintext is known.
///
/// An orthogonal key keeps inner products: ⟨x', x'ᵢ⟩ = ⟨x, xᵢ⟩, plus 1 where a constant is part of the row. They give a row's projection on
/// the span of the known rows, which is what orthogonal Procrustes gives (Schönemann, Psychometrika 31, 1966; the partial isometry on the
/// known span), from an m × m matrix. With noise on the rows it is ridge regression in its dual form (Saunders, Gammerman and Vovk, ICML
/// 1998), its penalty chosen by the error on each known row when that row is left out.
struct InnerProductRegression: Sendable {
  /// Which point the attacker takes for the origin.
  enum Origin: Sendable, CaseIterable {
    /// The plaintext's own, through what is known of the constant: one equation more.
    case plaintext
    /// The known rows' mean: better where noise calls for a large penalty.
    case mean
  }

  /// `[m, d]`: what the fit without the row says of each known row.
  let leaveOneOut: Tensor<Double>
  private let known: Tensor<Double>
  private let origin: Origin
  private let constant: Double
  private let maskedMean: [Double]
  private let mean: [Double]
  /// `[m, d]`: x̂ = ⟨x', x'ᵢ⟩ · weights.
  private let weights: Tensor<Double>
  private let compute: Compute

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 1, for `.mean` at least 3.
  ///   - isExact: whether masked rows have the inner products of the plaintext, for which its own are taken then: they are not rounded, and
  ///     what is not in the known rows' span is exactly that.
  ///   - penalties: tried, relative to the mean eigenvalue.
  /// - Throws: `DecompositionError`.
  init(
    plain: Tensor<Double>, masked: Tensor<Double>, origin: Origin, isExact: Bool = false, penalties: [Double],
    random: inout some RandomNumberGenerator, compute: Compute
  ) throws(DecompositionError) {
    let m = plain.rows
    let isCentred = origin == .mean
    self.origin = origin
    self.compute = compute
    constant = masked.columns > plain.columns ? 1 : 0
    mean = isCentred ? plain.columnMeans : [Double](repeating: 0, count: plain.columns)
    maskedMean = isCentred ? masked.columnMeans : []
    known = isCentred ? masked.subtracting(maskedMean) : masked
    let targets = isCentred ? plain.subtracting(mean) : plain

    var kernel = isExact ? targets : known
    kernel = kernel.times(kernel, otherTransposed: true, compute: compute)
    let trace = (0..<m).reduce(0.0) { $0 + kernel[$1, $1] }
    // Centred rows have no part along (1, …, 1): made the last eigenvector, it can be left out exactly.
    let shift = isCentred ? 2 * trace / Double(m) : isExact ? 0 : -constant
    kernel.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] += shift } }
    let eigen = try SymmetricEigenvectors(of: kernel)
    let used = isCentred ? max(1, m - 1) : m
    let values = eigen.values.prefix(used).map { max(0, $0) }
    let vectors = eigen.vectors.slice(rows: 0..<used)
    let scale = max(values.reduce(0, +) / Double(used), 1e-30)

    // All columns say the same of the penalty as a few random mixtures of them do.
    let mixtures = 64
    var sketch = targets
    if targets.columns > mixtures {
      let mixing = Tensor(
        GaussianNumbers.fill(targets.columns * mixtures, random: &random), shape: [targets.columns, mixtures])
      sketch = targets.times(mixing, compute: compute)
    }
    let sketchParts = vectors.times(sketch, compute: compute)
    var best = (error: Double.infinity, factors: values)
    for penalty in penalties {
      let factors = values.map { 1 / ($0 + penalty * scale) }
      let residual = Self.leaveOneOutResidual(of: sketchParts, vectors: vectors, factors: factors, compute: compute)
      let error = residual.error.sumOfSquares
      if error < best.error { best = (error, factors) }
    }
    let final = Self.leaveOneOutResidual(
      of: vectors.times(targets, compute: compute), vectors: vectors, factors: best.factors, compute: compute)
    weights = final.weights
    leaveOneOut = plain.adding(final.error)
  }

  /// `[n, d]` for masked rows `[n, w]`.
  func predict(_ masked: Tensor<Double>) -> Tensor<Double> {
    let rows = origin == .mean ? masked.subtracting(maskedMean) : masked
    var products = rows.times(known, otherTransposed: true, compute: compute)
    if origin == .plaintext {
      let constant = constant
      products.withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] -= constant } }
    }
    return products.times(weights, compute: compute).adding(mean)
  }

  /// (K + λ)⁻¹ Y, and with each row divided by minus that matrix's diagonal, what the fit without the row is off by (Allen, Technometrics
  /// 16, 1974).
  private static func leaveOneOutResidual(
    of parts: Tensor<Double>, vectors: Tensor<Double>, factors: [Double], compute: Compute
  ) -> (weights: Tensor<Double>, error: Tensor<Double>) {
    let weights = vectors.times(parts.scalingRows(by: factors), transposed: true, compute: compute)
    var diagonal = [Double](repeating: 0, count: vectors.columns)
    let width = vectors.columns
    vectors.withUnsafeBufferPointer { elements in
      for row in 0..<vectors.rows {
        let factor = factors[row]
        for column in 0..<width {
          let element = elements[row * width + column]
          diagonal[column] += factor * element * element
        }
      }
    }
    return (weights, weights.scalingRows(by: diagonal.map { $0 > 0 ? -1 / $0 : 0 }))
  }
}

/// The turn that best takes masked rows to their plaintext, both less the means of the known rows.
///
/// Orthogonal Procrustes (Schönemann, Psychometrika 31, 1966): U Vᵀ of the cross product's singular vectors. Where fewer rows than columns
/// are known it is a partial isometry on the known span, worked out from m × m matrices.
struct ProcrustesMap: Sendable {
  private let maskedMean: [Double]
  private let mean: [Double]
  /// `[w, d]`.
  private let turn: Tensor<Double>
  private let compute: Compute

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 2.
  ///   - tolerance: singular values of the cross product below it times the largest are rounding; Float32 rows have about 1e-7.
  /// - Throws: `DecompositionError`.
  init(
    plain: Tensor<Double>, masked: Tensor<Double>, tolerance: Double = 1e-7, compute: Compute
  ) throws(DecompositionError) {
    mean = plain.columnMeans
    maskedMean = masked.columnMeans
    self.compute = compute
    if plain.rows > plain.columns {
      let centred = plain.subtracting(mean)
      let cross = masked.subtracting(maskedMean).times(centred, transposed: true, compute: compute)
      turn = try SingularValues(of: cross).nearestIsometry(tolerance: tolerance, compute: compute)
      return
    }
    // With X = L B, B orthonormal rows, X'ᵀ X = B'ᵀ (L'ᵀ L) B: only L'ᵀ L, at most m × m, is decomposed.
    let left = try PrincipalComponents(of: masked, maxComponents: plain.rows, compute: compute)
    let right = try PrincipalComponents(of: plain, maxComponents: plain.rows, compute: compute)
    let core = left.scores.times(right.scores, transposed: true, compute: compute)
    let inner = try SingularValues(of: core).nearestIsometry(tolerance: tolerance, compute: compute)
    turn = left.directions.times(
      inner.times(right.directions, compute: compute), transposed: true, compute: compute)
  }

  /// `[n, d]` for masked rows `[n, w]`: the mean plus `shrinkage` times the turned difference.
  func predict(_ masked: Tensor<Double>, shrinkage: Double = 1) -> Tensor<Double> {
    masked.subtracting(maskedMean).times(turn, compute: compute)
      .scalingRows(by: [Double](repeating: shrinkage, count: masked.rows)).adding(mean)
  }
}
