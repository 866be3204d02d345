package import Tensors

/// What a layer gets for a forward pass over some rows of a batch. All views have the same rows.
package struct ForwardPass<Element: FloatingElement> {
  package let workers: Workers
  /// In the order of the layer's `parameters`; a vector of n is 1 × n.
  package let parameters: ArraySlice<MatrixView<Element>>
  package let inputs: [MatrixView<Element>]
  package let output: MatrixView<Element>
  /// Rows × `keptColumns`; nil in inference, where no backward pass follows, and where `keptColumns` is 0.
  package let kept: MatrixView<Element>?
}
