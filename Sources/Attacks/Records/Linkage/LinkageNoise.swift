import Foundation

/// What noise on the masked rows would make of norms and distances, if there is any.
struct LinkageNoise: Sendable {
  /// What rounding to 32-bit floats leaves of a squared norm or distance: inputs, key and their product are each rounded to 2⁻²⁴, which adds
  /// up to some 10⁻⁷ of a squared norm; with room for a key that is orthogonal to as much.
  private static let rounding = 5e-7

  /// σ² of each coordinate of a row.
  let variance: Double
  let width: Double
  /// Whether single records are compared by squared norms, else by the distance of their signatures.
  let usesNorms: Bool

  /// - Parameters:
  ///   - share: the noise's length over a record's.
  ///   - meanSquare: of the candidates' lengths.
  init(share: Double, meanSquare: Double, width: Int, usesNorms: Bool) {
    self.width = Double(width)
    variance = share * share * meanSquare / Double(max(1, width))
    self.usesNorms = usesNorms
  }

  /// Of the mean of `length` rows.
  private func variance(_ length: Int32) -> Double { variance / Double(max(1, length)) }

  /// What the noise adds to the residual of a record by itself, and how far it spreads that.
  func single(norm: Double, length: Int32) -> (bias: Double, scale: Double) {
    let own = variance(length)
    guard usesNorms else {
      return (0, max(.leastNormalMagnitude, (width * own + Self.rounding * Self.rounding * norm).squareRoot()))
    }
    let rounded = Self.rounding * norm
    let spread = 4 * own * norm + 2 * width * own * own + rounded * rounded
    return (width * own, max(.leastNormalMagnitude, spread.squareRoot()))
  }

  /// The same of a squared distance between two records.
  func pair(
    distance: Double, norms: (Double, Double), lengths: (Int32, Int32)
  ) -> (bias: Double, scale: Double) {
    let both = variance(lengths.0) + variance(lengths.1)
    let rounded = Self.rounding * (norms.0 + norms.1)
    let spread = 4 * both * distance + 2 * width * both * both + rounded * rounded
    return (width * both, max(.leastNormalMagnitude, spread.squareRoot()))
  }
}
