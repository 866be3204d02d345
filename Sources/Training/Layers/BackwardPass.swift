package import Tensors

/// What a layer gets for a backward pass over the samples of one or more forward passes: a whole batch, or a part of it.
package struct BackwardPass<Element: FloatingElement> {
  package let workers: Workers
  /// Nil where every sample is one row.
  package let sequences: SequenceLayout?
  package let parameters: ArraySlice<MatrixView<Element>>
  package let inputs: [MatrixView<Element>]
  package let output: MatrixView<Element>
  package let kept: MatrixView<Element>?
  /// ∂L/∂output, complete; the layer may overwrite it.
  package let outputGradient: MatrixView<Element>
  /// One for each input; nil where nobody needs it: the model's input, and whatever only frozen layers
  /// come before.
  package let inputGradients: [InputGradient<Element>?]
  /// In the order of `parameters`; nil for a parameter that is not trained.
  package let parameterGradients: ArraySlice<ParameterGradient<Element>?>
}
