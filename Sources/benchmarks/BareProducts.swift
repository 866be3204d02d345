import Tensors

/// The matrix products of a model's step, and memory of one thread to compute them alone.
///
/// `@unchecked Sendable`: each object is used by one thread at a time, as `Workers.perform` hands out its pieces.
final class BareProducts: @unchecked Sendable {
  /// C (m × n) = op(A) op(B), `count` times.
  struct Product {
    let transposeA: Bool
    let transposeB: Bool
    let m: Int
    let n: Int
    let k: Int
    let count: Int

    var operations: Double { 2 * Double(m) * Double(n) * Double(k) * Double(count) }
  }

  private let products: [Product]
  private var a: Tensor<Float>
  private var b: Tensor<Float>
  private var c: Tensor<Float>

  init(_ products: [Product]) {
    self.products = products
    a = SampleData.uniform([products.map { $0.m * $0.k }.max() ?? 1])
    b = SampleData.uniform([products.map { $0.n * $0.k }.max() ?? 1])
    c = Tensor(zeros: [products.map { $0.m * $0.n }.max() ?? 1])
  }

  /// All of them, each a whole call on the calling thread.
  func multiply() {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        c.withUnsafeMutableBufferPointer { c in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
          for product in products {
            for _ in 0..<product.count {
              Float.multiply(
                transposeA: product.transposeA, transposeB: product.transposeB, m: product.m, n: product.n,
                k: product.k, alpha: 1, a: a, leadingA: product.transposeA ? product.m : product.k, b: b,
                leadingB: product.transposeB ? product.k : product.n, beta: 0, c: c, leadingC: product.n)
            }
          }
        }
      }
    }
  }
}
