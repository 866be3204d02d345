package import Foundations

/// A kernel of OpenBLAS that must not be used.
package enum KernelError: Failure, Equatable {
  case wrongProduct(kernel: String)

  package var kind: FailureKind { .checkFailed }

  package var description: String {
    switch self {
    case .wrongProduct(let kernel):
      "OpenBLAS's \(kernel) kernel, chosen by this processor's features, multiplies wrongly here; "
        + "set OPENBLAS_CORETYPE to another kernel (Haswell), or install a newer OpenBLAS"
    }
  }
}

/// Whether the kernel in use multiplies rightly on this processor.
///
/// C = A B is checked by C v = A (B v) for one vector v of ±1 (Freivalds 1977), in Double: the cost of the check is that of reading the
/// matrices.
enum ProductCheck {
  /// - Throws: `KernelError.wrongProduct`.
  static func run() throws(KernelError) {
    // The first is large enough to be packed, the others take kernels for small or thin matrices where there are such.
    let sizes = [(m: 144, n: 136, k: 120), (m: 16, n: 40, k: 33), (m: 7, n: 5, k: 64)]
    for size in sizes {
      guard multiplies(Float.self, size.m, size.n, size.k, tolerance: 1e-4),
        multiplies(Double.self, size.m, size.n, size.k, tolerance: 1e-12)
      else { throw .wrongProduct(kernel: OpenBLAS.kernelName) }
    }
  }

  private static func multiplies<Element: FloatingElement>(
    _: Element.Type, _ m: Int, _ n: Int, _ k: Int, tolerance: Double
  ) -> Bool {
    let a = (0..<m * k).map { sample($0, 31) as Element }
    let b = (0..<k * n).map { sample($0, 37) as Element }
    var c = [Element](repeating: .nan, count: m * n)
    let compute = Compute(threads: 1)
    for (transposeA, transposeB) in [(false, false), (false, true), (true, false)] {
      a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
          c.withUnsafeMutableBufferPointer { c in
            guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
            compute.multiplyOnCallingThread(
              MatrixView(reading: a, rows: transposeA ? k : m, columns: transposeA ? m : k), transposeA: transposeA,
              MatrixView(reading: b, rows: transposeB ? n : k, columns: transposeB ? k : n), transposeB: transposeB,
              into: MatrixView(c, rows: m, columns: n))
          }
        }
      }
      guard
        isProduct(
          (0..<m * k).map { a[transposeA ? $0 % k * m + $0 / k : $0] },
          (0..<k * n).map { b[transposeB ? $0 % n * k + $0 / n : $0] }, c, n: n, k: k, tolerance: tolerance)
      else { return false }
    }
    return true
  }

  /// Small numbers in −1 … 1 without a pattern that a fault could preserve.
  private static func sample<Element: FloatingElement>(_ index: Int, _ factor: Int) -> Element {
    Element((index &* index &* factor &+ index &* 17) % 201 - 100) / 100
  }

  /// Whether `c` is the product of `a` (m × k) and `b` (k × n), up to `tolerance` times what the terms of a sum add up to.
  static func isProduct<Element: FloatingElement>(
    _ a: [Element], _ b: [Element], _ c: [Element], n: Int, k: Int, tolerance: Double
  ) -> Bool {
    let signs = (0..<n).map { ($0 &* 7 &+ $0 / 3) % 2 == 0 ? 1.0 : -1.0 }
    func times(_ matrix: [Element], _ row: Int, _ vector: [Double]) -> Double {
      vector.indices.reduce(0) { $0 + Double(matrix[row * vector.count + $1]) * vector[$1] }
    }
    let turned = (0..<k).map { times(b, $0, signs) }
    let bound = tolerance * Double(n * k)
    return c.indices.allSatisfy { c[$0].isFinite }
      && (0..<c.count / n).allSatisfy { abs(times(c, $0, signs) - times(a, $0, turned)) <= bound }
  }
}
