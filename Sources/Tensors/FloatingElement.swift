/// The two formats models are computed in: `Float` on the wire and in jobs, `Double` in the tests that prove exactness.
package protocol FloatingElement: TensorElement, BinaryFloatingPoint {
  /// C (m × n) = alpha · op(A) op(B) + beta · C on one thread, row-major, leading dimensions in elements.
  static func multiply(
    transposeA: Bool, transposeB: Bool, m: Int, n: Int, k: Int, alpha: Self,
    a: UnsafePointer<Self>, leadingA: Int, b: UnsafePointer<Self>, leadingB: Int, beta: Self,
    c: UnsafeMutablePointer<Self>, leadingC: Int)
}
