package import Tensors

/// Where a layer puts ∂L/∂input.
package struct InputGradient<Element: FloatingElement> {
  package let view: MatrixView<Element>
  /// Another reader of the same value has already written its share: add to it.
  package let accumulates: Bool
}
