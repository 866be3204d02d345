import Foundation

/// Sums of numbers that are known by their natural logarithms and would overflow or underflow by themselves.
enum LogarithmicSums {
  /// log Σ exp(values); −∞ for none.
  static func sum(_ values: [Double]) -> Double {
    guard let largest = values.max(), largest > -.infinity else { return -.infinity }
    if largest == .infinity { return .infinity }
    return largest + log(values.reduce(0) { $0 + exp($1 - largest) })
  }

  /// log(1 + exp(x)).
  static func onePlus(exponential x: Double) -> Double { x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)) }

  /// log(exp(x) − 1) for x > 0.
  static func exponentialMinusOne(_ x: Double) -> Double { x > 40 ? x : log(expm1(x)) }

  /// log erfc(x). Where erfc underflows, the asymptotic series (Abramowitz & Stegun, 7.1.23): at x = 25 its first term left out
  /// is 3e-15 of the whole.
  static func complementaryError(_ x: Double) -> Double {
    if x < 25 { return log(erfc(x)) }
    let y = 1 / (2 * x * x)
    let series = 1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y))))
    return -x * x - log(x * Double.pi.squareRoot()) + log(series)
  }

  /// log Σ (−1)^k exp(terms[k]) over infinitely many terms, of which the first are given. The terms must be a totally
  /// monotone sequence (moments of a positive measure); with n of them the relative error is below 2 · 5.8^−n (Cohen, Rodriguez
  /// Villegas & Zagier, "Convergence Acceleration of Alternating Series", 2000, Algorithm 1 and Proposition 1).
  static func alternatingSum(_ terms: [Double]) -> Double {
    guard let largest = terms.first, largest > -.infinity else { return -.infinity }
    let n = Double(terms.count)
    var d = pow(3 + 8.0.squareRoot(), n)
    d = (d + 1 / d) / 2
    var (b, c, sum) = (-1.0, -d, 0.0)
    for (index, term) in terms.enumerated() {
      let k = Double(index)
      c = b - c
      sum += c * exp(term - largest)
      b *= (k + n) * (k - n) / ((k + 0.5) * (k + 1))
    }
    return largest + log(sum / d)
  }
}
