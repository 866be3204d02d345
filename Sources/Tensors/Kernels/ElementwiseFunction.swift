import CKernels

/// A function that a layer applies to each coordinate of its result.
package enum ElementwiseFunction: Sendable, CaseIterable {
  case identity
  case relu
  /// x Φ(x), Φ the normal distribution function.
  case gelu
  /// x / (1 + exp(−x)).
  case silu
  case tanh
  /// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
  case geluTanh

  /// Whether the forward pass computes the derivative, from the function's argument; otherwise its result is enough.
  package var derivativeIsKept: Bool {
    switch self {
    case .gelu, .silu, .geluTanh: true
    case .identity, .relu, .tanh: false
    }
  }

  var code: ckernels_function {
    switch self {
    case .identity: CKERNELS_IDENTITY
    case .relu: CKERNELS_RELU
    case .gelu: CKERNELS_GELU
    case .silu: CKERNELS_SILU
    case .tanh: CKERNELS_TANH
    case .geluTanh: CKERNELS_GELU_TANH
    }
  }
}
