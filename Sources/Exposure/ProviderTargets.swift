package import Tensors

/// How the provider sees labels.
package enum ProviderTargets: Sendable {
  /// Loss at the owner: ∂L/∂y', `[m, outputs]`.
  case gradients(Tensor<Float>)
  /// Loss at the trainer: class ids in the output key's order, negative where a token does not count.
  case classes([Int32])
  /// Loss at the trainer: masked values, NaN where missing, `[m, outputs]`.
  case values(Tensor<Float>)
}
