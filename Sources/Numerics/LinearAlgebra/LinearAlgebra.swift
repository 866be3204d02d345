import CBLAS
package import Foundations

extension Tensor where Element: FloatingElement {
  /// op(A) op(B) as a new matrix; the sizes must fit.
  package func times(
    _ other: Tensor, transposed: Bool = false, otherTransposed: Bool = false, compute: Compute
  ) -> Tensor {
    let rows = transposed ? columns : self.rows
    let width = otherTransposed ? other.rows : other.columns
    var result = Tensor(zeros: [rows, width])
    result.withUnsafeMutableBufferPointer { c in
      withUnsafeBufferPointer { a in
        other.withUnsafeBufferPointer { b in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, rows > 0, width > 0 else { return }
          compute.multiply(
            MatrixView(reading: a, rows: self.rows, columns: columns), transposeA: transposed,
            MatrixView(reading: b, rows: other.rows, columns: other.columns), transposeB: otherTransposed,
            into: MatrixView(c, rows: rows, columns: width))
        }
      }
    }
    return result
  }
}

extension Tensor {
  /// Columns 0 ..< count, copied.
  package func firstColumns(_ count: Int) -> Tensor {
    var result = Tensor(uninitialized: [rows, count])
    let width = columns
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        for row in 0..<rows {
          for column in 0..<count { target[row * count + column] = source[row * width + column] }
        }
      }
    }
    return result
  }

  package var transposed: Tensor {
    var result = Tensor(uninitialized: [columns, rows])
    let (rows, columns) = (rows, columns)
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        for row in 0..<rows {
          for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
        }
      }
    }
    return result
  }
}

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
  package func nearestIsometry(tolerance: Double, compute: Compute) -> Tensor<Double> {
    let rank = values.prefix { $0 > tolerance * (values.first ?? 0) }.count
    return left.firstColumns(rank).times(right.slice(rows: 0..<rank), compute: compute)
  }
}

/// A decomposition that LAPACK could not give.
package enum DecompositionError: Failure, Equatable {
  /// More rows or columns than LAPACK's 32-bit integers and workspaces take.
  case tooLarge(rows: Int, columns: Int)
  /// The iteration did not converge, which for finite numbers does not happen in practice: the matrix holds NaN or an infinity.
  case notConverged(routine: String)

  package var kind: FailureKind {
    switch self {
    case .tooLarge: .exhausted
    case .notConverged: .inputData
    }
  }

  package var description: String {
    switch self {
    case .tooLarge(let rows, let columns): "a \(rows) × \(columns) matrix is too large to decompose"
    case .notConverged(let routine): "\(routine) did not converge: the matrix holds NaN or an infinity"
    }
  }
}
