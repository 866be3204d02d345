package import Tensors

/// Where a layer puts ∂L/∂parameter.
package struct ParameterGradient<Element: FloatingElement> {
  package let view: MatrixView<Element>
  /// An earlier part of the same batch has already written its share: add to it.
  package let accumulates: Bool
}
