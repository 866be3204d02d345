package import Tensors

/// The labels of the rows of `ProviderView.outputs`.
package enum TrueLabels: Sendable {
  /// Class ids; negative where a token does not count.
  case classes([Int32])
  /// `[m, columns]`, 0 or 1 for multilabel, any number for regression; NaN is missing.
  case values(Tensor<Float>, isBinary: Bool)
}
