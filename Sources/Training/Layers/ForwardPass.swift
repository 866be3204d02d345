package import Tensors

/// What a layer gets for a forward pass over some samples of a batch. A view has as many rows as there are samples or tokens,
/// by its value's domain.
package struct ForwardPass<Element: FloatingElement> {
  package let workers: Workers
  /// Nil where every sample is one row.
  package let sequences: SequenceLayout?
  /// In the order of the layer's `parameters`; a vector of n is 1 × n.
  package let parameters: ArraySlice<MatrixView<Element>>
  package let inputs: [MatrixView<Element>]
  package let output: MatrixView<Element>
  /// The output's rows × `keptColumns`; nil in inference, where no backward pass follows, and where `keptColumns` is 0.
  package let kept: MatrixView<Element>?
}
