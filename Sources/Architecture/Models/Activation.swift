/// Elementwise functions between layers.
package enum Activation: String, Sendable, Codable, CaseIterable {
  case relu
  /// x Φ(x) with the error function, PyTorch's default.
  case gelu
  /// GELU by its tanh approximation, x/2 (1 + tanh(√(2/π)(x + 0.044715 x³))): Hugging Face's gelu_new and gelu_pytorch_tanh.
  case geluTanh = "gelu_tanh"
  /// x σ(x).
  case silu
  case tanh

  /// The largest group that commutes with the function applied to each coordinate: an odd function also allows sign flips.
  package var largestGroup: SymmetryGroup {
    switch self {
    case .relu, .gelu, .geluTanh, .silu: .permutation
    case .tanh: .signedPermutation
    }
  }
}
