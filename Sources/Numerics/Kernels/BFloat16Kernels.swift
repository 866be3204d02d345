import CKernels

// Arithmetic is in `Float`; what is stored is rounded to nearest once.

extension BFloat16: LayerKernels {
  package static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Float>, bias: UnsafePointer<Float>?, slopes: MatrixView<BFloat16>?,
    residual: MatrixView<BFloat16>?
  ) {
    ckernels_activate_bfloat16(
      function.code, y.rows, y.columns, y.base, y.stride, bias, slopes?.base.bits, slopes?.stride ?? 0,
      residual?.base.bits,
      residual?.stride ?? 0)
  }

  package static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<BFloat16>, kept: MatrixView<BFloat16>?,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    // Every function but the identity reads what it kept.
    guard function == .identity || kept != nil else { return }
    ckernels_activate_backward_bfloat16(
      function.code, gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, kept?.base.bits,
      kept?.stride ?? 0,
      columnSums)
  }

  package static func copyGradient(
    _ gradient: MatrixView<BFloat16>, to copy: MatrixView<BFloat16>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_pass_gradient_bfloat16(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, copy?.base.bits, copy?.stride ?? 0,
      accumulates,
      columnSums)
  }

  package static func gate(_ gate: MatrixView<BFloat16>, _ up: MatrixView<BFloat16>, into y: MatrixView<BFloat16>) {
    ckernels_gate_bfloat16(
      y.rows, y.columns, gate.base.bits, gate.stride, up.base.bits, up.stride, y.base.bits, y.stride)
  }

  package static func gateBackward(
    _ gradient: MatrixView<BFloat16>, gate: MatrixView<BFloat16>, up: MatrixView<BFloat16>,
    gateGradient: MatrixView<BFloat16>?,
    gateAccumulates: Bool, upGradient: MatrixView<BFloat16>?, upAccumulates: Bool
  ) {
    ckernels_gate_backward_bfloat16(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, gate.base.bits, gate.stride, up.base.bits,
      up.stride,
      gateGradient?.base.bits, gateGradient?.stride ?? 0, gateAccumulates, upGradient?.base.bits,
      upGradient?.stride ?? 0,
      upAccumulates)
  }

  package static func writeScaled(
    _ count: Int, _ factor: Float, _ x: UnsafePointer<BFloat16>, into y: UnsafeMutablePointer<BFloat16>,
    accumulates: Bool
  ) {
    ckernels_put_scaled_bfloat16(count, factor, x.bits, y.bits, accumulates)
  }

  package static func sumOfSquares(_ count: Int, _ x: UnsafePointer<BFloat16>) -> Double {
    ckernels_sum_of_squares_bfloat16(count, x.bits)
  }
}

extension BFloat16: NormKernels {
  package static func layerNorm(
    _ x: MatrixView<BFloat16>, gain: UnsafePointer<Float>, shift: UnsafePointer<Float>, epsilon: Float,
    into y: MatrixView<BFloat16>,
    statistics: MatrixView<Float>?
  ) {
    ckernels_layer_norm_bfloat16(
      x.rows, x.columns, x.base.bits, x.stride, gain, shift, epsilon, y.base.bits, y.stride, statistics?.base,
      statistics?.stride ?? 0)
  }

  package static func layerNormBackward(
    _ gradient: MatrixView<BFloat16>, x: MatrixView<BFloat16>, statistics: MatrixView<Float>,
    gain: UnsafePointer<Float>,
    xGradient: MatrixView<BFloat16>?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_layer_norm_backward_bfloat16(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, x.base.bits, x.stride, statistics.base,
      statistics.stride, gain, xGradient?.base.bits, xGradient?.stride ?? 0, accumulates, columnSums)
  }

  package static func rootMeanSquareNorm(
    _ x: MatrixView<BFloat16>, epsilon: Float, into y: MatrixView<BFloat16>, scales: MatrixView<Float>?
  ) {
    ckernels_rms_norm_bfloat16(
      x.rows, x.columns, x.base.bits, x.stride, epsilon, y.base.bits, y.stride, scales?.base, scales?.stride ?? 0)
  }

  package static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<BFloat16>, y: MatrixView<BFloat16>, scales: MatrixView<Float>,
    xGradient: MatrixView<BFloat16>,
    accumulates: Bool
  ) {
    ckernels_rms_norm_backward_bfloat16(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, y.base.bits, y.stride, scales.base,
      scales.stride,
      xGradient.base.bits, xGradient.stride, accumulates)
  }

  package static func layerNorm(
    full x: MatrixView<Float>, gain: UnsafePointer<Float>, shift: UnsafePointer<Float>, epsilon: Float,
    into y: MatrixView<BFloat16>, statistics: MatrixView<Float>?
  ) {
    ckernels_layer_norm_bfloat16_of_float(
      x.rows, x.columns, x.base, x.stride, gain, shift, epsilon, y.base.bits, y.stride, statistics?.base,
      statistics?.stride ?? 0)
  }

  package static func layerNormBackward(
    _ gradient: MatrixView<BFloat16>, full x: MatrixView<Float>, statistics: MatrixView<Float>,
    gain: UnsafePointer<Float>, xGradient: MatrixView<Float>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_layer_norm_backward_bfloat16_of_float(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, x.base, x.stride, statistics.base,
      statistics.stride, gain, xGradient?.base, xGradient?.stride ?? 0, accumulates, columnSums)
  }

  package static func rootMeanSquareNorm(
    full x: MatrixView<Float>, epsilon: Float, into y: MatrixView<BFloat16>, scales: MatrixView<Float>?
  ) {
    ckernels_rms_norm_bfloat16_of_float(
      x.rows, x.columns, x.base, x.stride, epsilon, y.base.bits, y.stride, scales?.base, scales?.stride ?? 0)
  }

  package static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<BFloat16>, y: MatrixView<BFloat16>, scales: MatrixView<Float>,
    fullGradient xGradient: MatrixView<Float>, accumulates: Bool
  ) {
    ckernels_rms_norm_backward_bfloat16_of_float(
      gradient.rows, gradient.columns, gradient.base.bits, gradient.stride, y.base.bits, y.stride, scales.base,
      scales.stride, xGradient.base, xGradient.stride, accumulates)
  }

  package static func averageRows(_ x: MatrixView<BFloat16>, into y: UnsafeMutablePointer<BFloat16>) {
    ckernels_average_rows_bfloat16(x.rows, x.columns, x.base.bits, x.stride, y.bits)
  }
}

extension BFloat16: RotaryKernels {
  package static func rotate(
    heads: Int, half: Int, _ x: UnsafePointer<BFloat16>, coarse: UnsafePointer<Double>, fine: UnsafePointer<Double>,
    reverses: Bool, into y: UnsafeMutablePointer<BFloat16>, accumulates: Bool
  ) {
    ckernels_rotate_bfloat16(heads, half, x.bits, coarse, fine, reverses, y.bits, accumulates)
  }
}
