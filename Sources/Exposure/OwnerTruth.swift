package import Tensors

/// The plaintext behind a view: what a claim is scored against, and nothing that an attack is given.
package struct OwnerTruth: Sendable {
  /// `[n, d]`: the rows behind `ProviderView.inputs`, before the constant, the padding and any noise.
  package let rows: Tensor<Float>
  /// Token id of each input row, and its position in its sample; nil where rows are features.
  package let tokens: [Int32]?
  package let positions: [Int32]?
  package let labels: TrueLabels
  /// T of x' = T x + δ, `[w, d]`, and δ as a last column where there is one, `[w, d + 1]`.
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
