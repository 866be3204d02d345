import CBLAS

/// A = V diag(λ) Vᵀ of a symmetric matrix.
package struct SymmetricEigenvectors: Sendable {
  /// λ in ascending order.
  package let values: [Double]
  /// `[n, n]`: row i is the eigenvector of `values[i]`, of length 1, its sign arbitrary.
  package let vectors: Tensor<Double>

  /// By LAPACK's divide and conquer (`dsyevd`).
  ///
  /// - Parameter matrix: `[n, n]`; only one triangle is read.
  /// - Throws: `DecompositionError`.
  package init(of matrix: Tensor<Double>) throws(DecompositionError) {
    let size = matrix.rows
    guard size <= 30_000, let n = Int32(exactly: size) else { throw .tooLarge(rows: size, columns: size) }
    guard size > 0 else {
      (values, vectors) = ([], matrix)
      return
    }
    var vectors = matrix
    var values = [Double](repeating: 0, count: size)
    // The documented minimum for eigenvectors: 1 + 6 n + 2 n² and 3 + 5 n.
    let workspace = Int32(1 + 6 * size + 2 * size * size)
    let integers = 3 + 5 * n
    var work = [Double](repeating: 0, count: Int(workspace))
    var integerWork = [Int32](repeating: 0, count: Int(integers))
    var info: Int32 = 0
    OpenBLAS.oneThreadPerCall()
    vectors.withUnsafeMutableBufferPointer { a in
      // Column-major eigenvectors are the rows of a row-major matrix, and a symmetric matrix is its own transpose.
      dsyevd_("V", "U", [n], a.baseAddress, [n], &values, &work, [workspace], &integerWork, [integers], &info)
    }
    guard info == 0 else { throw .notConverged(routine: "dsyevd") }
    self.values = values
    self.vectors = vectors
  }
}
