import Models
import Foundation

/// The functions as their definitions have them, and their derivatives.
extension Activation {
  func value(_ x: Double) -> Double {
    switch self {
    case .relu: max(0, x)
    case .gelu: x * (1 + erf(x / 2.0.squareRoot())) / 2
    case .geluTanh: x / 2 * (1 + Foundation.tanh(geluArgument(x)))
    case .silu: x / (1 + exp(-x))
    case .tanh: Foundation.tanh(x)
    }
  }

  func slope(_ x: Double) -> Double {
    switch self {
    case .relu: return x > 0 ? 1 : 0
    case .gelu: return (1 + erf(x / 2.0.squareRoot())) / 2 + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    case .geluTanh:
      let t = Foundation.tanh(geluArgument(x))
      return (1 + t) / 2 + x / 2 * (1 - t * t) * (2 / Double.pi).squareRoot() * (1 + 3 * 0.044715 * x * x)
    case .silu:
      let sigmoid = 1 / (1 + exp(-x))
      return sigmoid * (1 + x * (1 - sigmoid))
    case .tanh: return 1 - Foundation.tanh(x) * Foundation.tanh(x)
    }
  }

  private func geluArgument(_ x: Double) -> Double {
    (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
  }
}
