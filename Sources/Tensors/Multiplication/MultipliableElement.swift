import CBLAS

/// A number format with a matrix multiplication.
package protocol MultipliableElement: TensorElement {
  /// C (m × n) = alpha · op(A) op(B) + beta · C on the calling thread, row-major, leading dimensions in elements.
  ///
  /// op(A) is m × k and op(B) k × n; A is stored as k × m when `transposeA`. `beta` 0 overwrites C whatever it held.
  /// Sizes are any non-negative numbers: what BLAS's 32-bit integers cannot hold is computed without it.
  static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Self,
    a: UnsafePointer<Self>, leadingA: Int, b: UnsafePointer<Self>, leadingB: Int, beta: Self,
    c: UnsafeMutablePointer<Self>, leadingC: Int)
}

extension Float: MultipliableElement {
  package static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Float,
    a: UnsafePointer<Float>, leadingA: Int, b: UnsafePointer<Float>, leadingB: Int, beta: Float,
    c: UnsafeMutablePointer<Float>, leadingC: Int
  ) {
    guard m > 0, n > 0 else { return }
    guard let sizes = BLASSizes(m: m, n: n, k: k, leadingA: leadingA, leadingB: leadingB, leadingC: leadingC) else {
      multiplyDirectly(
        transposeA: transposeA, transposeB: transposeB, m: m, n: n, k: k, alpha: alpha, a: a, leadingA: leadingA, b: b,
        leadingB: leadingB, beta: beta, c: c, leadingC: leadingC)
      return
    }
    OpenBLAS.oneThreadPerCall()
    guard OpenBLAS.hasSmallMatrixKernels, let part = SkinnyProduct(m: m, n: n, k: k) else {
      cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, sizes.m, sizes.n,
        sizes.k, alpha, a, sizes.leadingA, b, sizes.leadingB, beta, c, sizes.leadingC)
      return
    }
    for row in stride(from: 0, to: m, by: part.rows) {
      for column in stride(from: 0, to: n, by: part.columns) {
        // Parts are no larger than m and n, which fit.
        cblas_sgemm(
          CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
          Int32(truncatingIfNeeded: min(part.rows, m - row)), Int32(truncatingIfNeeded: min(part.columns, n - column)),
          sizes.k, alpha, transposeA ? a + row : a + row * leadingA, sizes.leadingA,
          transposeB ? b + column * leadingB : b + column, sizes.leadingB, beta, c + row * leadingC + column,
          sizes.leadingC)
      }
    }
  }
}

extension Double: MultipliableElement {
  package static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Double,
    a: UnsafePointer<Double>, leadingA: Int, b: UnsafePointer<Double>, leadingB: Int, beta: Double,
    c: UnsafeMutablePointer<Double>, leadingC: Int
  ) {
    guard m > 0, n > 0 else { return }
    guard let sizes = BLASSizes(m: m, n: n, k: k, leadingA: leadingA, leadingB: leadingB, leadingC: leadingC) else {
      multiplyDirectly(
        transposeA: transposeA, transposeB: transposeB, m: m, n: n, k: k, alpha: alpha, a: a, leadingA: leadingA, b: b,
        leadingB: leadingB, beta: beta, c: c, leadingC: leadingC)
      return
    }
    OpenBLAS.oneThreadPerCall()
    cblas_dgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, sizes.m, sizes.n,
      sizes.k, alpha, a, sizes.leadingA, b, sizes.leadingB, beta, c, sizes.leadingC)
  }
}

extension MultipliableElement {
  /// The definition as a triple loop: for sizes beyond BLAS's integers, and what `multiply` is tested against.
  static func multiplyDirectly(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Self,
    a: UnsafePointer<Self>, leadingA: Int, b: UnsafePointer<Self>, leadingB: Int, beta: Self,
    c: UnsafeMutablePointer<Self>, leadingC: Int
  ) {
    for row in 0..<m {
      for column in 0..<n {
        var sum: Self = 0
        for index in 0..<k {
          let left = transposeA ? a[index * leadingA + row] : a[row * leadingA + index]
          let right = transposeB ? b[column * leadingB + index] : b[index * leadingB + column]
          sum += left * right
        }
        let before: Self = beta == 0 ? 0 : beta * c[row * leadingC + column]
        c[row * leadingC + column] = alpha * sum + before
      }
    }
  }
}
