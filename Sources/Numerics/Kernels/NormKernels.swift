import CKernels

/// Norms over rows, and the average over rows. Each passes over memory once.
///
/// Of each norm there is one more whose argument, with its gradient, is in the format of arithmetic, whatever the result is stored in.
package protocol NormKernels: StoredElement {
  /// y = (x − mean) · rstd ⊙ gain + shift over each row, rstd = 1/√(variance + epsilon). `statistics`, if any, is rows × 2
  /// and receives mean and rstd.
  static func layerNorm(
    _ x: MatrixView<Self>, gain: UnsafePointer<Accumulator>, shift: UnsafePointer<Accumulator>, epsilon: Accumulator,
    into y: MatrixView<Self>, statistics: MatrixView<Accumulator>?)

  /// From ∂L/∂y to ∂L/∂x, written or added, nil if nobody needs it. `columnSums`, 2 × columns, receives what these rows add
  /// to the gradients of gain and shift; nil if they are not trained.
  static func layerNormBackward(
    _ gradient: MatrixView<Self>, x: MatrixView<Self>, statistics: MatrixView<Accumulator>,
    gain: UnsafePointer<Accumulator>,
    xGradient: MatrixView<Self>?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?)

  /// y = x · scale over each row, scale = 1/√(mean of squares + epsilon). `scales`, if any, has one column and receives it.
  static func rootMeanSquareNorm(
    _ x: MatrixView<Self>, epsilon: Accumulator, into y: MatrixView<Self>, scales: MatrixView<Accumulator>?)

  /// From ∂L/∂y to ∂L/∂x, written or added.
  static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<Self>, y: MatrixView<Self>, scales: MatrixView<Accumulator>, xGradient: MatrixView<Self>,
    accumulates: Bool)

  static func layerNorm(
    full x: MatrixView<Accumulator>, gain: UnsafePointer<Accumulator>, shift: UnsafePointer<Accumulator>,
    epsilon: Accumulator, into y: MatrixView<Self>, statistics: MatrixView<Accumulator>?)

  static func layerNormBackward(
    _ gradient: MatrixView<Self>, full x: MatrixView<Accumulator>, statistics: MatrixView<Accumulator>,
    gain: UnsafePointer<Accumulator>, xGradient: MatrixView<Accumulator>?, accumulates: Bool,
    columnSums: UnsafeMutablePointer<Double>?)

  static func rootMeanSquareNorm(
    full x: MatrixView<Accumulator>, epsilon: Accumulator, into y: MatrixView<Self>, scales: MatrixView<Accumulator>?)

  static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<Self>, y: MatrixView<Self>, scales: MatrixView<Accumulator>,
    fullGradient xGradient: MatrixView<Accumulator>, accumulates: Bool)

  /// y = the average of x's rows, summed in double.
  static func averageRows(_ x: MatrixView<Self>, into y: UnsafeMutablePointer<Self>)
}

extension NormKernels where Accumulator == Self {
  package static func layerNorm(
    full x: MatrixView<Self>, gain: UnsafePointer<Self>, shift: UnsafePointer<Self>, epsilon: Self,
    into y: MatrixView<Self>, statistics: MatrixView<Self>?
  ) {
    layerNorm(x, gain: gain, shift: shift, epsilon: epsilon, into: y, statistics: statistics)
  }

  package static func layerNormBackward(
    _ gradient: MatrixView<Self>, full x: MatrixView<Self>, statistics: MatrixView<Self>, gain: UnsafePointer<Self>,
    xGradient: MatrixView<Self>?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?
  ) {
    layerNormBackward(
      gradient, x: x, statistics: statistics, gain: gain, xGradient: xGradient, accumulates: accumulates,
      columnSums: columnSums)
  }

  package static func rootMeanSquareNorm(
    full x: MatrixView<Self>, epsilon: Self, into y: MatrixView<Self>, scales: MatrixView<Self>?
  ) {
    rootMeanSquareNorm(x, epsilon: epsilon, into: y, scales: scales)
  }

  package static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<Self>, y: MatrixView<Self>, scales: MatrixView<Self>,
    fullGradient xGradient: MatrixView<Self>, accumulates: Bool
  ) {
    rootMeanSquareNormBackward(gradient, y: y, scales: scales, xGradient: xGradient, accumulates: accumulates)
  }
}

extension Float: NormKernels {
  package static func layerNorm(
    _ x: MatrixView<Float>, gain: UnsafePointer<Float>, shift: UnsafePointer<Float>, epsilon: Float,
    into y: MatrixView<Float>,
    statistics: MatrixView<Float>?
  ) {
    ckernels_layer_norm_float(
      x.rows, x.columns, x.base, x.stride, gain, shift, epsilon, y.base, y.stride, statistics?.base,
      statistics?.stride ?? 0)
  }

  package static func layerNormBackward(
    _ gradient: MatrixView<Float>, x: MatrixView<Float>, statistics: MatrixView<Float>, gain: UnsafePointer<Float>,
    xGradient: MatrixView<Float>?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_layer_norm_backward_float(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, x.base, x.stride, statistics.base,
      statistics.stride, gain, xGradient?.base, xGradient?.stride ?? 0, accumulates, columnSums)
  }

  package static func rootMeanSquareNorm(
    _ x: MatrixView<Float>, epsilon: Float, into y: MatrixView<Float>, scales: MatrixView<Float>?
  ) {
    ckernels_rms_norm_float(
      x.rows, x.columns, x.base, x.stride, epsilon, y.base, y.stride, scales?.base, scales?.stride ?? 0)
  }

  package static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<Float>, y: MatrixView<Float>, scales: MatrixView<Float>, xGradient: MatrixView<Float>,
    accumulates: Bool
  ) {
    ckernels_rms_norm_backward_float(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, y.base, y.stride, scales.base, scales.stride,
      xGradient.base, xGradient.stride, accumulates)
  }

  package static func averageRows(_ x: MatrixView<Float>, into y: UnsafeMutablePointer<Float>) {
    ckernels_average_rows_float(x.rows, x.columns, x.base, x.stride, y)
  }
}

extension Double: NormKernels {
  package static func layerNorm(
    _ x: MatrixView<Double>, gain: UnsafePointer<Double>, shift: UnsafePointer<Double>, epsilon: Double,
    into y: MatrixView<Double>,
    statistics: MatrixView<Double>?
  ) {
    ckernels_layer_norm_double(
      x.rows, x.columns, x.base, x.stride, gain, shift, epsilon, y.base, y.stride, statistics?.base,
      statistics?.stride ?? 0)
  }

  package static func layerNormBackward(
    _ gradient: MatrixView<Double>, x: MatrixView<Double>, statistics: MatrixView<Double>, gain: UnsafePointer<Double>,
    xGradient: MatrixView<Double>?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?
  ) {
    ckernels_layer_norm_backward_double(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, x.base, x.stride, statistics.base,
      statistics.stride, gain, xGradient?.base, xGradient?.stride ?? 0, accumulates, columnSums)
  }

  package static func rootMeanSquareNorm(
    _ x: MatrixView<Double>, epsilon: Double, into y: MatrixView<Double>, scales: MatrixView<Double>?
  ) {
    ckernels_rms_norm_double(
      x.rows, x.columns, x.base, x.stride, epsilon, y.base, y.stride, scales?.base, scales?.stride ?? 0)
  }

  package static func rootMeanSquareNormBackward(
    _ gradient: MatrixView<Double>, y: MatrixView<Double>, scales: MatrixView<Double>, xGradient: MatrixView<Double>,
    accumulates: Bool
  ) {
    ckernels_rms_norm_backward_double(
      gradient.rows, gradient.columns, gradient.base, gradient.stride, y.base, y.stride, scales.base, scales.stride,
      xGradient.base, xGradient.stride, accumulates)
  }

  package static func averageRows(_ x: MatrixView<Double>, into y: UnsafeMutablePointer<Double>) {
    ckernels_average_rows_double(x.rows, x.columns, x.base, x.stride, y)
  }
}
