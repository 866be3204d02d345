import CBLAS

/// A = U diag(σ) Vᵀ of any matrix, thin: r = the smaller of its sizes.
package struct SingularValues: Sendable {
  /// `[m, r]`: column i is the left singular vector of `values[i]`.
  package let left: Tensor<Double>
  /// σ in descending order.
  package let values: [Double]
  /// `[r, n]`: row i is the right singular vector of `values[i]`.
  package let right: Tensor<Double>

  /// By LAPACK's divide and conquer (`dgesdd`).
  ///
  /// - Parameter matrix: `[m, n]`.
  /// - Throws: `DecompositionError`.
  package init(of matrix: Tensor<Double>) throws(DecompositionError) {
    let (rows, columns) = (matrix.rows, matrix.columns)
    let rank = min(rows, columns)
    guard max(rows, columns) <= 1 << 24, rank <= 16_000, let m = Int32(exactly: rows), let n = Int32(exactly: columns),
      let r = Int32(exactly: rank)
    else { throw .tooLarge(rows: rows, columns: columns) }
    var copy = matrix
    var left = Tensor<Double>(zeros: [rows, rank])
    var right = Tensor<Double>(zeros: [rank, columns])
    var values = [Double](repeating: 0, count: rank)
    guard rank > 0 else {
      (self.left, self.values, self.right) = (left, values, right)
      return
    }
    var integerWork = [Int32](repeating: 0, count: 8 * rank)
    var info: Int32 = 0
    OpenBLAS.oneThreadPerCall()
    copy.withUnsafeMutableBufferPointer { a in
      left.withUnsafeMutableBufferPointer { u in
        right.withUnsafeMutableBufferPointer { v in
          // To LAPACK the row-major matrix is its transpose V diag(σ) Uᵀ, so that the two sides change places.
          var best = 0.0
          dgesdd_(
            "S", [n], [m], a.baseAddress, [n], &values, v.baseAddress, [n], u.baseAddress, [r], &best, [-1],
            &integerWork,
            &info)
          guard info == 0 else { return }
          let size = Int32(best)
          var work = [Double](repeating: 0, count: Int(size))
          dgesdd_(
            "S", [n], [m], a.baseAddress, [n], &values, v.baseAddress, [n], u.baseAddress, [r], &work, [size],
            &integerWork,
            &info)
        }
      }
    }
    guard info == 0 else { throw .notConverged(routine: "dgesdd") }
    self.left = left
    self.values = values
    self.right = right
  }

  /// U Vᵀ over the singular values above `tolerance` times the largest: the nearest orthogonal matrix to A (Schönemann, Psychometrika 31,
  /// 1966), or the nearest partial isometry where A has a null space. `[m, n]`.
  package func nearestIsometry(tolerance: Double, workers: Workers) -> Tensor<Double> {
    let rank = values.prefix { $0 > tolerance * (values.first ?? 0) }.count
    return left.firstColumns(rank).times(right.slice(rows: 0..<rank), workers: workers)
  }
}
