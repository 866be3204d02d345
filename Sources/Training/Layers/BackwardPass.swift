package import Tensors

/// What a layer gets for the backward pass over a whole batch. All views of values have the batch's rows.
package struct BackwardPass<Element: FloatingElement> {
  package let workers: Workers
  package let parameters: ArraySlice<MatrixView<Element>>
  package let inputs: [MatrixView<Element>]
  package let output: MatrixView<Element>
  package let kept: MatrixView<Element>?
  /// ∂L/∂output, complete; the layer may overwrite it.
  package let outputGradient: MatrixView<Element>
  /// One for each input; nil where nobody needs it (the model's input).
  package let inputGradients: [InputGradient<Element>?]
  /// To be overwritten; in the order of `parameters`.
  package let parameterGradients: ArraySlice<MatrixView<Element>>
}
