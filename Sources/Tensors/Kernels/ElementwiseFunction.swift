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

  /// Whether the derivative is computed from the function's argument; otherwise its result is enough.
  package var derivativeNeedsArgument: Bool { self == .gelu || self == .silu }

  var code: ckernels_function {
    switch self {
    case .identity: CKERNELS_IDENTITY
    case .relu: CKERNELS_RELU
    case .gelu: CKERNELS_GELU
    case .silu: CKERNELS_SILU
    case .tanh: CKERNELS_TANH
    }
  }
}
