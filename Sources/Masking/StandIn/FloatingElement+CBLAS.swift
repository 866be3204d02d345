// Stands in for the conformances that Tensors is about to bring; dropped, with this target's CBLAS dependency, once they
// are there. Nothing else in this target calls CBLAS.
internal import CBLAS
internal import Tensors

private let singleThreaded: Void = openblas_set_num_threads(1)

extension Float: FloatingElement {
  package static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Float,
    a: UnsafePointer<Float>, leadingA: Int, b: UnsafePointer<Float>, leadingB: Int, beta: Float,
    c: UnsafeMutablePointer<Float>, leadingC: Int
  ) {
    singleThreaded
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      blasint(m), blasint(n), blasint(k), alpha, a, blasint(leadingA), b, blasint(leadingB), beta, c,
      blasint(leadingC))
  }
}

extension Double: FloatingElement {
  package static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Double,
    a: UnsafePointer<Double>, leadingA: Int, b: UnsafePointer<Double>, leadingB: Int, beta: Double,
    c: UnsafeMutablePointer<Double>, leadingC: Int
  ) {
    singleThreaded
    cblas_dgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      blasint(m), blasint(n), blasint(k), alpha, a, blasint(leadingA), b, blasint(leadingB), beta, c,
      blasint(leadingC))
  }
}
