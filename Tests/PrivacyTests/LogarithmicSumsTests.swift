import Foundation
import Testing

@testable import Privacy

@Suite struct LogarithmicSumsTests {
  /// log erfc satisfies erfc(x) = 2/√π ∫ exp(−t²): continued fraction of the tail, exact to rounding for x ≥ 5 with 200 terms.
  @Test func theTailOfTheErrorFunctionHasNoSeam() {
    for x in [5.0, 12, 24.999, 25, 25.001, 40, 1e3, 1e8] {
      var fraction = x
      for k in stride(from: 200, through: 1, by: -1) { fraction = x + Double(k) / 2 / fraction }
      let expected = -x * x - log(fraction * Double.pi.squareRoot())
      #expect(abs(LogarithmicSums.complementaryError(x) - expected) <= 4e-15 * abs(expected))
    }
    #expect(LogarithmicSums.complementaryError(-40) == log(2))
  }

  @Test func sumsNeitherOverflowNorVanish() {
    #expect(abs(LogarithmicSums.sum([1000, 1000]) - (1000 + log(2))) < 1e-12)
    #expect(abs(LogarithmicSums.sum([-2000, -2000, -3000]) - (-2000 + log(2))) < 1e-12)
    #expect(LogarithmicSums.sum([]) == -.infinity)
    #expect(LogarithmicSums.sum([-.infinity, -.infinity]) == -.infinity)
    #expect(LogarithmicSums.sum([.infinity, 1]) == .infinity)
    #expect(LogarithmicSums.onePlus(exponential: 800) == 800)
    #expect(LogarithmicSums.onePlus(exponential: -50) == exp(-50))
    #expect(LogarithmicSums.exponentialMinusOne(1e-20) == log(1e-20))
  }

  /// 1 − 1/2 + 1/3 − … = log 2, which converges by itself only after 10^16 terms.
  @Test func alternatingSumsConverge() {
    let terms = (1...24).map { -log(Double($0)) }
    #expect(abs(exp(LogarithmicSums.alternatingSum(terms)) - log(2)) <= 4e-16)
    #expect(LogarithmicSums.alternatingSum([-.infinity, -.infinity]) == -.infinity)
  }

  /// ∫ x^31 and ∫ e^−x: polynomials up to degree 31 exactly, smooth functions to rounding.
  @Test func quadratureIsExact() {
    let power = GaussLegendre.integrals(from: 0, to: 1, width: 1) { (pow($0, 31), pow($0, 30)) }
    #expect(abs(power.0 - 1.0 / 32) < 1e-16)
    #expect(abs(power.1 - 1.0 / 31) < 1e-16)
    let tail = GaussLegendre.integrals(from: 1, to: 40, width: 1) { (exp(-$0), 1) }
    #expect(abs(tail.0 - (exp(-1) - exp(-40))) < 1e-15)
    #expect(abs(tail.1 - 39) < 1e-13)
  }
}
