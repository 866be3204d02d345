package import Tensors

extension JobKeys {
  /// y = K_y⁻¹ y'.
  ///
  /// - Parameter masked: `[n, outputs]`, as the trainer sent it.
  /// - Throws: `MaskingError.shape`.
  package func unmaskOutputs(_ masked: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(masked.shape, is: [masked.rows, plan.output.width], "a batch of masked outputs")
    return outputKey.transform(rows: masked, .unmask, workers: workers)
  }

  /// ∂L/∂y' = K_y⁻ᵀ ∂L/∂y, which is K_y ∂L/∂y for the orthogonal keys used here.
  ///
  /// - Parameter gradient: `[n, outputs]`.
  /// - Throws: `MaskingError.shape`.
  package func maskOutputGradient(_ gradient: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(gradient.shape, is: [gradient.rows, plan.output.width], "a batch of output gradients")
    return outputKey.transform(rows: gradient, .mask, workers: workers)
  }
}
