/// Elementwise functions between layers.
package enum Activation: String, Sendable, Codable, CaseIterable {
  case relu
  /// x Φ(x) with the error function, PyTorch's default.
  case gelu
  /// x σ(x).
  case silu
  case tanh

  /// The largest group that commutes with the function applied to each coordinate: an odd function also allows sign flips.
  package var largestGroup: SymmetryGroup {
    switch self {
    case .relu, .gelu, .silu: .permutation
    case .tanh: .signedPermutation
    }
  }
}
