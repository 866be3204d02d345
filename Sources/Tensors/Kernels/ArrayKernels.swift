import CKernels

/// Passes over `count` consecutive elements.
package protocol ArrayKernels: TensorElement {
  /// Σ x², accumulated in double in a fixed order.
  static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Self>) -> Double
  /// Whether no element is NaN or infinite.
  static func allFinite(_ count: Int, _ x: UnsafePointer<Self>) -> Bool
  /// x ·= factor.
  static func scale(_ count: Int, _ x: UnsafeMutablePointer<Self>, by factor: Self)
  /// y = a·x + b·y.
  static func combine(_ count: Int, _ a: Self, _ x: UnsafePointer<Self>, _ b: Self, _ y: UnsafeMutablePointer<Self>)
  /// y = factor · x, whatever y held, or y + factor · x if `accumulates`.
  static func putScaled(
    _ count: Int, _ factor: Self, _ x: UnsafePointer<Self>, into y: UnsafeMutablePointer<Self>, accumulates: Bool)
}

extension Float: ArrayKernels {
  package static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Float>) -> Double {
    ckernels_sum_of_squares_float(count, x)
  }

  package static func allFinite(_ count: Int, _ x: UnsafePointer<Float>) -> Bool {
    ckernels_all_finite_float(count, x)
  }

  package static func scale(_ count: Int, _ x: UnsafeMutablePointer<Float>, by factor: Float) {
    ckernels_scale_float(count, x, factor)
  }

  package static func combine(
    _ count: Int, _ a: Float, _ x: UnsafePointer<Float>, _ b: Float, _ y: UnsafeMutablePointer<Float>
  ) {
    ckernels_combine_float(count, a, x, b, y)
  }

  package static func putScaled(
    _ count: Int, _ factor: Float, _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, accumulates: Bool
  ) {
    ckernels_put_scaled_float(count, factor, x, y, accumulates)
  }
}

extension Double: ArrayKernels {
  package static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Double>) -> Double {
    ckernels_sum_of_squares_double(count, x)
  }

  package static func allFinite(_ count: Int, _ x: UnsafePointer<Double>) -> Bool {
    ckernels_all_finite_double(count, x)
  }

  package static func scale(_ count: Int, _ x: UnsafeMutablePointer<Double>, by factor: Double) {
    ckernels_scale_double(count, x, factor)
  }

  package static func combine(
    _ count: Int, _ a: Double, _ x: UnsafePointer<Double>, _ b: Double, _ y: UnsafeMutablePointer<Double>
  ) {
    ckernels_combine_double(count, a, x, b, y)
  }

  package static func putScaled(
    _ count: Int, _ factor: Double, _ x: UnsafePointer<Double>, into y: UnsafeMutablePointer<Double>, accumulates: Bool
  ) {
    ckernels_put_scaled_double(count, factor, x, y, accumulates)
  }
}
