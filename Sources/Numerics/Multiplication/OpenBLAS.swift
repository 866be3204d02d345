import CBLAS

/// Products by OpenBLAS, on one thread each, and what this process uses of it beside them.
package struct OpenBLAS: ProductLibrary {
  package init() {}

  /// - Parameter precision: `.full`; the others are `PackedKernels`'.
  package func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) {
    switch precision {
    case .full: compute(product)
    case .bfloat16, .bfloat16x3: preconditionFailure("OpenBLAS has no products of bfloat16")
    }
  }

  package func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
    compute(product)
  }

  private func compute<Element: BLASElement>(_ product: MatrixProduct<Element>) {
    guard case .full(let c) = product.c else { preconditionFailure("OpenBLAS has no products of bfloat16") }
    add(product.term, to: c, accumulates: product.accumulates)
    if let addition = product.addition { add(addition, to: c, accumulates: true) }
    product.finish()
  }

  private func add<Element: BLASElement>(
    _ term: ProductTerm<Element>, to c: MatrixView<Element>, accumulates: Bool
  ) {
    guard c.rows > 0, c.columns > 0 else { return }
    guard case .full(let left) = term.a, case .full(let right) = term.b else {
      preconditionFailure("OpenBLAS has no products of bfloat16")
    }
    guard
      let sizes = BLASSizes(
        m: c.rows, n: c.columns, k: term.depth, leadingA: left.stride, leadingB: right.stride, leadingC: c.stride)
    else {
      MatrixProduct(term, accumulates: accumulates, into: c).multiplyDirectly()
      return
    }
    Self.oneThreadPerCall()
    let (transposeA, transposeB) = (term.transposeA, term.transposeB)
    let (a, b, leadingA, leadingB, leadingC) = (left.base, right.base, left.stride, right.stride, c.stride)
    let (alpha, beta) = (Element(term.alpha), accumulates ? 1 : 0 as Element)
    guard Element.hasSmallMatrixKernels, let part = SkinnyProduct(m: c.rows, n: c.columns, k: term.depth) else {
      Element.gemm(
        transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, sizes.m, sizes.n, sizes.k,
        alpha, a, sizes.leadingA, b, sizes.leadingB, beta, c.base, sizes.leadingC)
      return
    }
    for row in stride(from: 0, to: c.rows, by: part.rows) {
      for column in stride(from: 0, to: c.columns, by: part.columns) {
        // Parts are no larger than m and n, which fit.
        Element.gemm(
          transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
          Int32(truncatingIfNeeded: min(part.rows, c.rows - row)),
          Int32(truncatingIfNeeded: min(part.columns, c.columns - column)), sizes.k, alpha,
          transposeA ? a + row : a + row * leadingA, sizes.leadingA,
          transposeB ? b + column * leadingB : b + column, sizes.leadingB, beta, c.base + row * leadingC + column,
          sizes.leadingC)
      }
    }
  }

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
  fileprivate static let hasSmallMatrixKernels = ["skylakex", "cooperlake", "sapphirerapids"].contains(
    kernelName.lowercased())
}

/// A format as CBLAS has it.
private protocol BLASElement: FloatingElement {
  static var hasSmallMatrixKernels: Bool { get }

  /// Row-major.
  static func gemm(
    _ transposeA: CBLAS_TRANSPOSE, _ transposeB: CBLAS_TRANSPOSE, _ m: Int32, _ n: Int32, _ k: Int32, _ alpha: Self,
    _ a: UnsafePointer<Self>, _ leadingA: Int32, _ b: UnsafePointer<Self>, _ leadingB: Int32, _ beta: Self,
    _ c: UnsafeMutablePointer<Self>, _ leadingC: Int32)
}

extension Float: BLASElement {
  fileprivate static var hasSmallMatrixKernels: Bool { OpenBLAS.hasSmallMatrixKernels }

  fileprivate static func gemm(
    _ transposeA: CBLAS_TRANSPOSE, _ transposeB: CBLAS_TRANSPOSE, _ m: Int32, _ n: Int32, _ k: Int32, _ alpha: Float,
    _ a: UnsafePointer<Float>, _ leadingA: Int32, _ b: UnsafePointer<Float>, _ leadingB: Int32, _ beta: Float,
    _ c: UnsafeMutablePointer<Float>, _ leadingC: Int32
  ) {
    cblas_sgemm(
      CblasRowMajor, transposeA, transposeB, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC)
  }
}

extension Double: BLASElement {
  /// They are for single precision.
  fileprivate static var hasSmallMatrixKernels: Bool { false }

  fileprivate static func gemm(
    _ transposeA: CBLAS_TRANSPOSE, _ transposeB: CBLAS_TRANSPOSE, _ m: Int32, _ n: Int32, _ k: Int32, _ alpha: Double,
    _ a: UnsafePointer<Double>, _ leadingA: Int32, _ b: UnsafePointer<Double>, _ leadingB: Int32, _ beta: Double,
    _ c: UnsafeMutablePointer<Double>, _ leadingC: Int32
  ) {
    cblas_dgemm(
      CblasRowMajor, transposeA, transposeB, m, n, k, alpha, a, leadingA, b, leadingB, beta, c, leadingC)
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
    let maxLength = min(Self.longestPart, Self.largestWork / (thin * k)) / Self.unit * Self.unit
    guard maxLength >= Self.unit, long > maxLength else { return nil }
    let parts = (long + maxLength - 1) / maxLength
    let part = (long / parts + Self.unit) / Self.unit * Self.unit
    let length = min(maxLength, part)
    (rows, columns) = m <= n ? (m, length) : (length, n)
  }
}
