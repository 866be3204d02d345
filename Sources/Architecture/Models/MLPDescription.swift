/// A multi-layer perceptron: linear layers with one activation between them and none after the last.
package struct MLPDescription: Sendable, Equatable, Codable {
  /// The input row in homogeneous coordinates; the first layer has no bias of its own.
  package let input: HomogeneousColumns
  /// Widths of the hidden layers, first to last; empty for a linear model.
  package let hidden: [Int]
  package let activation: Activation
  package let outputs: Int

  package init(input: HomogeneousColumns, hidden: [Int], activation: Activation, outputs: Int) {
    self.input = input
    self.hidden = hidden
    self.activation = activation
    self.outputs = outputs
  }
}
