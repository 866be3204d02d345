import CKernels

/// The elementwise passes of a layer. Each reads and writes its block once.
package protocol LayerKernels: StoredElement {
  /// y = residual + f(y + bias) in place, y a tile of a product that is not stored yet.
  ///
  /// `bias`, if any, has `y.columns` entries; `slopes`, if any, has y's shape and receives f′(y + bias) where
  /// `derivativeIsKept`; `residual`, if any, has y's shape.
  static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Accumulator>, bias: UnsafePointer<Accumulator>?,
    slopes: MatrixView<Self>?, residual: MatrixView<Self>?)

  /// gradient = gradient · f′ in place.
  ///
  /// `kept` has the gradient's shape: f's derivative where `derivativeIsKept`, its result otherwise; nil for the
  /// identity. `columnSums`, if any, has `gradient.columns` entries and receives the new gradient summed over rows, a part of
  /// the gradient of the bias.
  static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Self>, kept: MatrixView<Self>?,
    columnSums: UnsafeMutablePointer<Double>?)

  /// Hands `gradient` on unchanged: writes it to `copy`, or adds it, and writes its sums over rows to `columnSums`; in one
  /// pass over memory. Either may be nil.
  static func copyGradient(
    _ gradient: MatrixView<Self>, to copy: MatrixView<Self>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?)

  /// y = silu(gate) ⊙ up; all of one shape.
  static func gate(_ gate: MatrixView<Self>, _ up: MatrixView<Self>, into y: MatrixView<Self>)

  /// The gradients of `gate`'s arguments, written or added; nil for one that nobody needs.
  static func gateBackward(
    _ gradient: MatrixView<Self>, gate: MatrixView<Self>, up: MatrixView<Self>, gateGradient: MatrixView<Self>?,
    gateAccumulates: Bool, upGradient: MatrixView<Self>?, upAccumulates: Bool)

  /// y = factor · x, whatever y held, or y + factor · x if `accumulates`, of `count` consecutive elements.
  static func writeScaled(
    _ count: Int, _ factor: Accumulator, _ x: UnsafePointer<Self>, into y: UnsafeMutablePointer<Self>,
    accumulates: Bool)

  /// Σ x² of `count` consecutive elements, accumulated in double in a fixed order.
  static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Self>) -> Double
}

extension Float: LayerKernels {
  package static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Float>, bias: UnsafePointer<Float>?, slopes: MatrixView<Float>?,
    residual: MatrixView<Float>?
  ) {
    ckernels_activate_float(
      function.code, y.rows, y.columns, y.base, y.stride, bias, slopes?.base, slopes?.stride ?? 0, residual?.base,
      residual?.stride ?? 0)
  }

  package static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Float>, kept: MatrixView<Float>?,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    // Every function but the identity reads what it kept.
    guard function == .identity || kept != nil else { return }
    ckernels_activate_backward_float(
      function.code, gradient.rows, gradient.columns, gradient.base, gradient.stride, kept?.base, kept?.stride ?? 0,
      columnSums)
  }

  package static func copyGradient(
    _ gradient: MatrixView<Float>, to copy: MatrixView<Float>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_pass_gradient_float(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, copy?.base, copy?.stride ?? 0, accumulates,
      columnSums)
  }

  package static func gate(_ gate: MatrixView<Float>, _ up: MatrixView<Float>, into y: MatrixView<Float>) {
    ckernels_gate_float(y.rows, y.columns, gate.base, gate.stride, up.base, up.stride, y.base, y.stride)
  }

  package static func gateBackward(
    _ gradient: MatrixView<Float>, gate: MatrixView<Float>, up: MatrixView<Float>, gateGradient: MatrixView<Float>?,
    gateAccumulates: Bool, upGradient: MatrixView<Float>?, upAccumulates: Bool
  ) {
    ckernels_gate_backward_float(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, gate.base, gate.stride, up.base, up.stride,
      gateGradient?.base, gateGradient?.stride ?? 0, gateAccumulates, upGradient?.base, upGradient?.stride ?? 0,
      upAccumulates)
  }

  package static func writeScaled(
    _ count: Int, _ factor: Float, _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, accumulates: Bool
  ) {
    ckernels_put_scaled_float(count, factor, x, y, accumulates)
  }

  package static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Float>) -> Double {
    ckernels_sum_of_squares_float(count, x)
  }
}

extension Double: LayerKernels {
  package static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Double>, bias: UnsafePointer<Double>?,
    slopes: MatrixView<Double>?,
    residual: MatrixView<Double>?
  ) {
    ckernels_activate_double(
      function.code, y.rows, y.columns, y.base, y.stride, bias, slopes?.base, slopes?.stride ?? 0, residual?.base,
      residual?.stride ?? 0)
  }

  package static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Double>, kept: MatrixView<Double>?,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    // Every function but the identity reads what it kept.
    guard function == .identity || kept != nil else { return }
    ckernels_activate_backward_double(
      function.code, gradient.rows, gradient.columns, gradient.base, gradient.stride, kept?.base, kept?.stride ?? 0,
      columnSums)
  }

  package static func copyGradient(
    _ gradient: MatrixView<Double>, to copy: MatrixView<Double>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_pass_gradient_double(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, copy?.base, copy?.stride ?? 0, accumulates,
      columnSums)
  }

  package static func gate(_ gate: MatrixView<Double>, _ up: MatrixView<Double>, into y: MatrixView<Double>) {
    ckernels_gate_double(y.rows, y.columns, gate.base, gate.stride, up.base, up.stride, y.base, y.stride)
  }

  package static func gateBackward(
    _ gradient: MatrixView<Double>, gate: MatrixView<Double>, up: MatrixView<Double>, gateGradient: MatrixView<Double>?,
    gateAccumulates: Bool, upGradient: MatrixView<Double>?, upAccumulates: Bool
  ) {
    ckernels_gate_backward_double(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, gate.base, gate.stride, up.base, up.stride,
      gateGradient?.base, gateGradient?.stride ?? 0, gateAccumulates, upGradient?.base, upGradient?.stride ?? 0,
      upAccumulates)
  }

  package static func writeScaled(
    _ count: Int, _ factor: Double, _ x: UnsafePointer<Double>, into y: UnsafeMutablePointer<Double>, accumulates: Bool
  ) {
    ckernels_put_scaled_double(count, factor, x, y, accumulates)
  }

  package static func sumOfSquares(_ count: Int, _ x: UnsafePointer<Double>) -> Double {
    ckernels_sum_of_squares_double(count, x)
  }
}
