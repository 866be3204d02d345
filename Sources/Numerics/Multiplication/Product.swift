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

/// The sizes of one multiplication as BLAS takes them, in 32 bits.
struct BLASSizes {
  let m: Int32
  let n: Int32
  let k: Int32
  let leadingA: Int32
  let leadingB: Int32
  let leadingC: Int32

  /// Nil when a size does not fit. BLAS wants leading dimensions of at least 1 even of empty matrices.
  init?(m: Int, n: Int, k: Int, leadingA: Int, leadingB: Int, leadingC: Int) {
    guard let m = Int32(exactly: m), let n = Int32(exactly: n), let k = Int32(exactly: k),
      let leadingA = Int32(exactly: Swift.max(1, leadingA)), let leadingB = Int32(exactly: Swift.max(1, leadingB)),
      let leadingC = Int32(exactly: Swift.max(1, leadingC))
    else { return nil }
    self.m = m
    self.n = n
    self.k = k
    self.leadingA = leadingA
    self.leadingB = leadingB
    self.leadingC = leadingC
  }
}

/// Cuts a product with few rows or columns so that OpenBLAS's kernels for small matrices compute it.
///
/// Its AVX-512 builds have kernels that skip packing, but take them only up to 10⁶ multiply-adds. Micro-batches of 16
/// rows are above that and spend half their time packing weights that are used 16 times: 16 × 512 × 2050 runs at
/// 56 GF/s whole and at 99 in parts (one core, OpenBLAS 0.3.21).
struct SkinnyProduct {
  /// Above this many rows (or columns) packing is worth its time.
  private static let skinny = 32
  /// Below the library's own limit, where the small kernels are also refused for some long shapes.
  private static let largestWork = 750_000
  private static let longestPart = 96
  /// Parts are multiples of this; narrower ones leave vector lanes empty.
  private static let unit = 8

  /// Rows and columns of C that one call computes.
  let rows: Int
  let columns: Int

  /// Nil when one call for the whole product is best.
  init?(m: Int, n: Int, k: Int) {
    let (thin, long) = (min(m, n), max(m, n))
    guard thin >= 1, thin <= Self.skinny, k >= 1, k <= Self.largestWork else { return nil }
    let most = min(Self.longestPart, Self.largestWork / (thin * k)) / Self.unit * Self.unit
    guard most >= Self.unit, long > most else { return nil }
    let parts = (long + most - 1) / most
    let part = (long / parts + Self.unit) / Self.unit * Self.unit
    let length = min(most, part)
    (rows, columns) = m <= n ? (m, length) : (length, n)
  }
}

/// What this process uses of OpenBLAS beside the multiplication itself.
package enum OpenBLAS {
  /// Evaluated once, by Swift's own once-only initialisation of static properties, before the first multiplication.
  ///
  /// OpenBLAS's own threads are off for good: parallelism is `Workers`' alone. Two schedulers would fight for the same
  /// cores, and the split OpenBLAS chooses depends on its thread count, which would make result bits depend on it too.
  private static let threadsSwitchedOff: Void = openblas_set_num_threads(1)

  static func oneThreadPerCall() {
    threadsSwitchedOff
  }

  /// The kernel family OpenBLAS chose for this processor: "SkylakeX", "Haswell".
  package static var kernelName: String {
    openblas_get_corename().map { String(cString: $0) } ?? "unknown"
  }

  /// Whether the kernels in use include those for small matrices (OpenBLAS has them for AVX-512 only).
  static let hasSmallMatrixKernels = ["skylakex", "cooperlake", "sapphirerapids"].contains(kernelName.lowercased())
}
