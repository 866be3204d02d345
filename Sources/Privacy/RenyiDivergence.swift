import Foundation

/// The Rényi divergence of one step of the Poisson-subsampled Gaussian mechanism, D_α(Q ‖ P) = log A_α / (α − 1) with
/// A_α = E_P[(Q/P)^α] (Mironov, Talwar & Zhang, 2019, §3.3). It is the larger of the two directions for every α ≥ 1 (their
/// Theorem 5), so it holds for adding and for removing a record.
package enum RenyiDivergence {
  /// The largest order: a sum has about as many terms as its order.
  package static let largestOrder = 65_536.0

  /// D_α in nats; above 0, never NaN, +∞ where it passes the range of Double. Orders: above 1, at most `largestOrder`;
  /// `PrivacyError.outOfRange` otherwise. `mechanism.steps` plays no part.
  package static func divergence(order: Double, of mechanism: SubsampledGaussian) throws -> Double {
    try check(order: order)
    return logarithmicMoment(order: order, of: mechanism) / (order - 1)
  }

  static func check(order: Double) throws {
    guard order > 1, order <= largestOrder else {
      throw PrivacyError.outOfRange(name: "an order", value: order, range: "above 1 and at most \(largestOrder)")
    }
  }

  /// log A_α for 1 < α ≤ `largestOrder`.
  static func logarithmicMoment(order: Double, of mechanism: SubsampledGaussian) -> Double {
    let (sigma, q) = (mechanism.noiseMultiplier, mechanism.sampleRate)
    if q == 1 { return order * (order - 1) / (2 * sigma * sigma) }
    if order == order.rounded() { return integerOrder(Int(order), sigma: sigma, q: q) }
    let exact = fractionalOrder(order, sigma: sigma, q: q)
    if exact > 1e-6 { return exact }
    // The series finds A, and here A − 1 has lost digits to its 1. log A is convex in the order (Hölder), so the line between
    // the whole orders beside it is an upper bound.
    let below = order.rounded(.down)
    let (low, high) = (
      below == 1 ? 0 : integerOrder(Int(below), sigma: sigma, q: q),
      integerOrder(Int(below) + 1, sigma: sigma, q: q)
    )
    return low + (order - below) * (high - low)
  }

  /// A_α = Σ_k C(α, k) (1 − q)^(α−k) q^k exp((k² − k)/(2σ²)). The weights sum to 1 and the exponent is 0 for k < 2, so
  /// A_α − 1 is a sum of positive terms from k = 2: nothing cancels, however small it is.
  private static func integerOrder(_ order: Int, sigma: Double, q: Double) -> Double {
    guard order > 1 else { return 0 }
    var terms: [Double] = []
    terms.reserveCapacity(order)
    var binomial = log(Double(order))
    for k in 2...order {
      binomial += log(Double(order - k + 1) / Double(k))
      let exponent = Double(k) * Double(k - 1) / (2 * sigma * sigma)
      terms.append(
        binomial + Double(order - k) * log1p(-q) + Double(k) * log(q) + LogarithmicSums.exponentialMinusOne(exponent))
    }
    return LogarithmicSums.onePlus(exponential: LogarithmicSums.sum(terms))
  }

  /// How many terms of the alternating rest are taken: 5.8^−24 is below the rounding of Double.
  private static let alternatingTerms = 24

  /// A fractional α: the integral is cut at z₀ = σ² log(1/q − 1) + 1/2, where both parts of Q are equal, and the power is
  /// expanded in the smaller part on each side; the binomials C(α, k) are positive up to k = ⌈α⌉ and alternate from there. There
  /// they are moments (a Beta function) and so is each integral, hence the rest may be summed as `alternatingSum` does.
  private static func fractionalOrder(_ order: Double, sigma: Double, q: Double) -> Double {
    let crossing = sigma * sigma * (log1p(-q) - log(q)) + 0.5
    let positive = Int(order.rounded(.up))
    let scale = 1 / (2.0.squareRoot() * sigma)
    func exponent(_ j: Double) -> Double { j * (j - 1) / (2 * sigma * sigma) }
    var terms: [Double] = []
    var binomial = 0.0
    for k in 0..<(positive + alternatingTerms) {
      if k > 0 { binomial += log(abs(order - Double(k) + 1) / Double(k)) }
      let (i, j) = (Double(k), order - Double(k))
      let left =
        j * log1p(-q) + i * log(q) + exponent(i)
        + LogarithmicSums.complementaryError((i - crossing) * scale)
      let right =
        i * log1p(-q) + j * log(q) + exponent(j)
        + LogarithmicSums.complementaryError((crossing - j) * scale)
      terms.append(binomial - log(2) + LogarithmicSums.sum([left, right]))
    }
    let head = LogarithmicSums.sum(Array(terms[..<positive]))
    let rest = LogarithmicSums.alternatingSum(Array(terms[positive...]))
    return max(0, LogarithmicSums.sum([head, rest]))
  }
}
