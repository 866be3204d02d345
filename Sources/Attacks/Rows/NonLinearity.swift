import Foundation

/// The functions g of FastICA's fixed point (Hyvärinen, IEEE Trans. Neural Netw. 10(3), 1999; Hyvärinen and Oja, Neural Netw. 13, 2000).
enum NonLinearity: CaseIterable, Sendable {
  /// tanh u, of ln cosh u: for most sources.
  case logcosh
  /// u exp(−u²/2): for heavy tails and outliers.
  case exponential
  /// u³, of the kurtosis: for light tails, such as uniform or two-valued sources.
  case cube
  /// u², of the skewness: for lopsided sources.
  case skew

  /// Replaces each value by g and returns the sum of g'.
  func apply(_ values: UnsafeMutablePointer<Double>, count: Int) -> Double {
    var sum = 0.0
    switch self {
    case .logcosh:
      for index in 0..<count {
        let value = tanh(values[index])
        sum += 1 - value * value
        values[index] = value
      }
    case .exponential:
      for index in 0..<count {
        let square = values[index] * values[index]
        let bell = exp(-square / 2)
        sum += (1 - square) * bell
        values[index] *= bell
      }
    case .cube:
      for index in 0..<count {
        let square = values[index] * values[index]
        sum += 3 * square
        values[index] *= square
      }
    case .skew:
      for index in 0..<count {
        sum += 2 * values[index]
        values[index] *= values[index]
      }
    }
    return sum
  }
}
