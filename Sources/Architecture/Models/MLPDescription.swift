/// A multi-layer perceptron: linear layers with one activation between them and none after the last, and before them, where there is
/// an adapter, one linear layer without an activation.
package struct MLPDescription: Sendable, Equatable, Codable {
  /// The input row in homogeneous coordinates; the layer that reads it has no bias of its own.
  package let input: HomogeneousColumns
  /// Width of the adapter, a linear layer that stands between the input and "layers.0" and starts from a Gaussian; nil for none.
  package let adapter: Int?
  /// Widths of the hidden layers, first to last; empty for a linear model.
  package let hidden: [Int]
  package let activation: Activation
  package let outputs: Int

  package init(
    input: HomogeneousColumns, hidden: [Int], activation: Activation, outputs: Int, adapter: Int? = nil
  ) {
    self.input = input
    self.adapter = adapter
    self.hidden = hidden
    self.activation = activation
    self.outputs = outputs
  }
}
