import Foundation
import Testing

@testable import Privacy

/// Divergences of one step against integrals that know nothing of the series.
@Suite struct RenyiDivergenceTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let sigma: Double
    let rate: Double
    let order: Double
    var testDescription: String { "σ \(sigma), q \(rate), α \(order)" }

    func mechanism() throws -> SubsampledGaussian {
      try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: 1)
    }
  }

  static let cases = [
    Case(sigma: 1.1, rate: 256.0 / 60000, order: 8.1), Case(sigma: 0.8, rate: 0.001, order: 2.5),
    Case(sigma: 1.5, rate: 0.04, order: 3.9), Case(sigma: 2, rate: 0.2, order: 1.1),
    Case(sigma: 2, rate: 0.2, order: 1.02), Case(sigma: 3, rate: 0.05, order: 9.4),
    Case(sigma: 0.5, rate: 0.3, order: 1.5), Case(sigma: 1, rate: 0.9, order: 4.7),
    Case(sigma: 1, rate: 0.999_999, order: 3.3), Case(sigma: 0.3, rate: 0.5, order: 6.2),
    Case(sigma: 1, rate: 0.01, order: 17), Case(sigma: 4, rate: 0.3, order: 64),
    Case(sigma: 20, rate: 0.5, order: 33.5),
    Case(sigma: 1, rate: 1, order: 7.5), Case(sigma: 2, rate: 0.5, order: 2),
  ]

  /// log ∫ P (Q/P)^α, or with P and Q exchanged, by the trapezoidal rule, which converges geometrically for analytic integrands that
  /// vanish at both ends: the step is far below the distance σ² π of the nearest singular point and below σ.
  private static func integral(_ test: Case, exchanged: Bool = false) -> Double {
    let (sigma, q, order) = (test.sigma, test.rate, test.order)
    let step = min(sigma, sigma * sigma) / 16
    let (low, high) = (-14 * sigma - (exchanged ? order : 0), order + 14 * sigma)
    var exponents: [Double] = []
    for index in 0...Int((high - low) / step) {
      let x = low + Double(index) * step
      let p = -x * x / (2 * sigma * sigma)
      let u = (2 * x - 1) / (2 * sigma * sigma)
      // log(1 − q + q e^u), with the larger part taken out.
      let ratio = u > 0 ? u + log(q + (1 - q) * exp(-u)) : log1p(q * expm1(u))
      exponents.append(p + (exchanged ? 1 - order : order) * ratio)
    }
    let largest = exponents.max() ?? 0
    let sum = exponents.reduce(0) { $0 + exp($1 - largest) }
    return largest + log(sum * step / (sigma * (2 * Double.pi).squareRoot()))
  }

  /// Rounding: some thousand terms, each with an exponent up to log A itself.
  @Test(arguments: cases) func divergencesAreTheIntegrals(_ test: Case) throws {
    let moment = try RenyiDivergence.divergence(order: test.order, of: test.mechanism()) * (test.order - 1)
    let expected = Self.integral(test)
    #expect(abs(moment - expected) <= 1e-12 * max(1, expected), "\(moment) against \(expected)")
  }

  @Test(arguments: cases) func theOtherDirectionIsSmaller(_ test: Case) throws {
    let moment = try RenyiDivergence.divergence(order: test.order, of: test.mechanism()) * (test.order - 1)
    #expect(Self.integral(test, exchanged: true) <= moment + 1e-12 * max(1, moment))
  }

  @Test func withoutSamplingItIsTheGaussians() throws {
    let mechanism = try SubsampledGaussian(noiseMultiplier: 1.7, sampleRate: 1, steps: 1)
    for order in [1.5, 2, 10, 1024] {
      let expected = order / (2 * 1.7 * 1.7)
      #expect(abs(try RenyiDivergence.divergence(order: order, of: mechanism) - expected) <= 1e-14 * expected)
    }
  }

  /// A₂ − 1 = q² (e^(1/σ²) − 1), however far below the rounding of 1.
  @Test func smallDivergencesKeepTheirDigits() throws {
    for rate in [1e-3, 1e-9, 1e-100] {
      let mechanism = try SubsampledGaussian(noiseMultiplier: 1.3, sampleRate: rate, steps: 1)
      let expected = log1p(rate * rate * expm1(1 / (1.3 * 1.3)))
      #expect(abs(try RenyiDivergence.divergence(order: 2, of: mechanism) - expected) <= 1e-12 * expected)
    }
  }

  /// A₁.₅ − 1 for small q is ½ · 1.5 · 0.5 · q² (e^(1/σ²) − 1) but for terms of q³: a bound may lie above, never below.
  @Test func smallDivergencesOfFractionalOrdersAreBounds() throws {
    for rate in [1e-5, 1e-7, 1e-10] {
      let mechanism = try SubsampledGaussian(noiseMultiplier: 1, sampleRate: rate, steps: 1)
      let second = rate * rate * expm1(1)
      let found = try RenyiDivergence.divergence(order: 1.5, of: mechanism) * 0.5
      #expect(found >= 0.375 * second * (1 - 10 * rate))
      #expect(found <= 0.5 * second * (1 + 1e-9))
    }
  }

  /// Orders that are nearly whole take the series, whole ones the finite sum: log A changes by its slope times the distance.
  @Test func fractionalOrdersMeetWholeOnes() throws {
    for (sigma, rate) in [(1.0, 0.01), (0.7, 0.4), (3, 0.2)] {
      let mechanism = try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: 1)
      for order in [2.0, 5, 12] {
        let whole = try RenyiDivergence.divergence(order: order, of: mechanism)
        for near in [order - 1e-9, order + 1e-9] {
          #expect(abs(try RenyiDivergence.divergence(order: near, of: mechanism) - whole) <= 1e-7 * whole + 1e-12)
        }
      }
    }
  }

  @Test func divergencesGrowWithTheOrder() throws {
    for (sigma, rate) in [(1.1, 0.004), (0.5, 0.2), (30, 0.01), (0.01, 0.5), (1e9, 1e-9)] {
      let mechanism = try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: 1)
      let values = try (RenyiAccountant.standardOrders + [4096, 65536]).filter { $0 == $0.rounded() }.map {
        try RenyiDivergence.divergence(order: $0, of: mechanism)
      }
      #expect(values.allSatisfy { $0 >= 0 && $0.isFinite })
      #expect(zip(values, values.dropFirst()).allSatisfy { $0 <= $1 * (1 + 1e-12) })
    }
  }

  @Test(arguments: [1, 0.5, 0, -3, .nan, .infinity, 65537]) func ordersOutsideTheRangeAreRefused(_ order: Double) throws
  {
    let mechanism = try SubsampledGaussian(noiseMultiplier: 1, sampleRate: 0.1, steps: 1)
    #expect(throws: PrivacyError.self) { try RenyiDivergence.divergence(order: order, of: mechanism) }
    #expect(throws: PrivacyError.self) { try RenyiAccountant(orders: [2, order]) }
  }
}
