import Tensors

/// Matrices of one thread for the three products of a layer's step.
///
/// `@unchecked Sendable`: each object is used by one thread at a time, as `Workers.perform` hands out its pieces.
final class ProductOperands: @unchecked Sendable {
  static let products = 3

  private let rows: Int
  private let width: Int
  private let input: Tensor<Float>
  private let weight: Tensor<Float>
  private var output: Tensor<Float>
  private var weightGradient: Tensor<Float>

  init(rows: Int, width: Int) {
    self.rows = rows
    self.width = width
    input = SampleData.uniform([rows, width])
    weight = SampleData.uniform([width, width])
    output = Tensor(zeros: [rows, width])
    weightGradient = Tensor(zeros: [width, width])
  }

  /// X Wᵀ (outputs), Gᵀ X (weight gradient), G W (input gradient): one `cblas_sgemm` call each, on the calling thread.
  func multiply() {
    input.withUnsafeBufferPointer { x in
      weight.withUnsafeBufferPointer { w in
        output.withUnsafeMutableBufferPointer { y in
          weightGradient.withUnsafeMutableBufferPointer { g in
            guard let x = x.baseAddress, let w = w.baseAddress, let y = y.baseAddress, let g = g.baseAddress else {
              return
            }
            Float.multiply(
              transposeA: false, transposeB: true, m: rows, n: width, k: width, alpha: 1, a: x, leadingA: width, b: w,
              leadingB: width, beta: 0, c: y, leadingC: width)
            Float.multiply(
              transposeA: true, transposeB: false, m: width, n: width, k: rows, alpha: 1, a: x, leadingA: width, b: x,
              leadingB: width, beta: 0, c: g, leadingC: width)
            Float.multiply(
              transposeA: false, transposeB: false, m: rows, n: width, k: width, alpha: 1, a: x, leadingA: width, b: w,
              leadingB: width, beta: 0, c: y, leadingC: width)
          }
        }
      }
    }
  }
}
