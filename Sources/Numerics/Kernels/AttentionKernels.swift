import CKernels

/// Softmax over blocks of attention scores, which are never stored.
///
/// Row r of a block looks at its first min(columns, first + step · r) columns, at least 1; the others get weight 0.
package protocol AttentionKernels: TensorElement {
  /// scores → exp(score − the row's largest); the reciprocals of the rows' sums in `inverses`, and log Σ exp(score) in
  /// `logarithms`, one column, if any.
  static func attentionWeights(
    _ scores: MatrixView<Self>, first: Int, step: Int, inverses: UnsafeMutablePointer<Self>,
    logarithms: MatrixView<Self>?)

  /// scores → the weights p = exp(score − logarithm); `gradients`: ∂L/∂p → ∂L/∂score = p (∂L/∂p − Σ p ∂L/∂p).
  static func attentionWeightsBackward(
    _ scores: MatrixView<Self>, first: Int, step: Int, gradients: MatrixView<Self>, logarithms: MatrixView<Self>)

  /// Each row times its factor.
  static func scaleRows(_ x: MatrixView<Self>, by factors: UnsafePointer<Self>)
}

extension Float: AttentionKernels {
  package static func attentionWeights(
    _ scores: MatrixView<Float>, first: Int, step: Int, inverses: UnsafeMutablePointer<Float>,
    logarithms: MatrixView<Float>?
  ) {
    ckernels_attention_weights_float(
      scores.rows, scores.columns, first, step, scores.base, scores.stride, inverses, logarithms?.base,
      logarithms?.stride ?? 0)
  }

  package static func attentionWeightsBackward(
    _ scores: MatrixView<Float>, first: Int, step: Int, gradients: MatrixView<Float>, logarithms: MatrixView<Float>
  ) {
    ckernels_attention_weights_backward_float(
      scores.rows, scores.columns, first, step, scores.base, scores.stride, gradients.base, gradients.stride,
      logarithms.base, logarithms.stride)
  }

  package static func scaleRows(_ x: MatrixView<Float>, by factors: UnsafePointer<Float>) {
    ckernels_scale_rows_float(x.rows, x.columns, x.base, x.stride, factors)
  }
}

extension Double: AttentionKernels {
  package static func attentionWeights(
    _ scores: MatrixView<Double>, first: Int, step: Int, inverses: UnsafeMutablePointer<Double>,
    logarithms: MatrixView<Double>?
  ) {
    ckernels_attention_weights_double(
      scores.rows, scores.columns, first, step, scores.base, scores.stride, inverses, logarithms?.base,
      logarithms?.stride ?? 0)
  }

  package static func attentionWeightsBackward(
    _ scores: MatrixView<Double>, first: Int, step: Int, gradients: MatrixView<Double>, logarithms: MatrixView<Double>
  ) {
    ckernels_attention_weights_backward_double(
      scores.rows, scores.columns, first, step, scores.base, scores.stride, gradients.base, gradients.stride,
      logarithms.base, logarithms.stride)
  }

  package static func scaleRows(_ x: MatrixView<Double>, by factors: UnsafePointer<Double>) {
    ckernels_scale_rows_double(x.rows, x.columns, x.base, x.stride, factors)
  }
}
