import Tensors

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
  ///   - most: components wanted at most; those below `floor` of the first one's variance are left out, being rounding.
  /// - Throws: `DecompositionError`.
  init(of rows: Tensor<Double>, most: Int, floor: Double = 1e-9, workers: Workers) throws(DecompositionError) {
    let mean = rows.columnMeans
    let centred = rows.subtracting(mean)
    let isTall = centred.rows >= centred.columns
    let gram = centred.times(centred, transposed: isTall, otherTransposed: !isTall, workers: workers)
    let eigen = try SymmetricEigenvectors(of: gram)
    let order = Array(eigen.values.indices.reversed())
    let largest = eigen.values.last ?? 0
    let kept = Array(order.prefix(most).prefix { eigen.values[$0] > floor * largest && eigen.values[$0] > 0 })
    let vectors = eigen.vectors.selecting(rows: kept)
    let sums = kept.map { eigen.values[$0] }
    self.mean = mean
    variances = sums.map { $0 / Double(max(1, rows.rows)) }
    if isTall {
      directions = vectors
      scores = centred.times(vectors, otherTransposed: true, workers: workers)
    } else {
      let roots = sums.map { $0.squareRoot() }
      directions = vectors.times(centred, workers: workers).scalingRows(by: roots.map { 1 / $0 })
      scores = vectors.transposed.scalingColumns(by: roots)
    }
  }
}
