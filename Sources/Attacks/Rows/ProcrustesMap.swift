import Tensors

/// The turn that best takes masked rows to their plaintext, both less the means of the known rows.
///
/// Orthogonal Procrustes (Schönemann, Psychometrika 31, 1966): U Vᵀ of the cross product's singular vectors. Where fewer rows than columns
/// are known it is a partial isometry on the known span, worked out from m × m matrices.
struct ProcrustesMap: Sendable {
  private let maskedMean: [Double]
  private let mean: [Double]
  /// `[w, d]`.
  private let turn: Tensor<Double>
  private let workers: Workers

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 2.
  ///   - tolerance: singular values of the cross product below it times the largest are rounding; Float32 rows have about 1e-7.
  /// - Throws: `DecompositionError`.
  init(
    plain: Tensor<Double>, masked: Tensor<Double>, tolerance: Double = 1e-7, workers: Workers
  ) throws(DecompositionError) {
    mean = plain.columnMeans
    maskedMean = masked.columnMeans
    self.workers = workers
    if plain.rows > plain.columns {
      let centred = plain.subtracting(mean)
      let cross = masked.subtracting(maskedMean).times(centred, transposed: true, workers: workers)
      turn = try SingularValues(of: cross).nearestIsometry(tolerance: tolerance, workers: workers)
      return
    }
    // With X = L B, B orthonormal rows, X'ᵀ X = B'ᵀ (L'ᵀ L) B: only L'ᵀ L, at most m × m, is decomposed.
    let left = try PrincipalComponents(of: masked, most: plain.rows, workers: workers)
    let right = try PrincipalComponents(of: plain, most: plain.rows, workers: workers)
    let core = left.scores.times(right.scores, transposed: true, workers: workers)
    let inner = try SingularValues(of: core).nearestIsometry(tolerance: tolerance, workers: workers)
    turn = left.directions.times(
      inner.times(right.directions, workers: workers), transposed: true, workers: workers)
  }

  /// `[n, d]` for masked rows `[n, w]`: the mean plus `shrinkage` times the turned difference.
  func predict(_ masked: Tensor<Double>, shrinkage: Double = 1) -> Tensor<Double> {
    masked.subtracting(maskedMean).times(turn, workers: workers)
      .scalingRows(by: [Double](repeating: shrinkage, count: masked.rows)).adding(mean)
  }
}
