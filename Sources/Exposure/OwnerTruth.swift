package import Tensors

/// The plaintext behind a view: what a claim is scored against, and nothing that an attack is given.
package struct OwnerTruth: Sendable {
  /// `[n, d]`: the rows behind `ProviderView.inputs`, before the constant, the padding and any noise.
  package let rows: Tensor<Float>
  /// Token id of each input row, and its position in its sample; nil where rows are features.
  package let tokens: [Int32]?
  package let positions: [Int32]?
  package let labels: TrueLabels
  /// K of the input space, `[w, w]`: x' = K [x; 1; 0_k], or K x without a constant.
  package let inputKey: Tensor<Double>

  package init(
    rows: Tensor<Float>, tokens: [Int32]?, positions: [Int32]?, labels: TrueLabels, inputKey: Tensor<Double>
  ) {
    self.rows = rows
    self.tokens = tokens
    self.positions = positions
    self.labels = labels
    self.inputKey = inputKey
  }
}
