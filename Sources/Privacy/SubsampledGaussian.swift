import Foundation

/// So many steps of the Poisson-subsampled Gaussian mechanism: each step takes every record with probability `sampleRate`, sums
/// what is clipped to norm 1, and adds Gaussian noise of standard deviation `noiseMultiplier` to every entry.
///
/// Adjacency is adding or removing one record. Without it one step has, at worst, the density P = N(0, σ²) along the record's
/// direction; with it Q = (1 − q) N(0, σ²) + q N(1, σ²) (Mironov, Talwar & Zhang, "Rényi Differential Privacy of the Sampled
/// Gaussian Mechanism", 2019, Theorem 4).
package struct SubsampledGaussian: Hashable, Sendable {
  /// σ, in units of the clipping norm.
  package let noiseMultiplier: Double
  /// q; 1 takes every record.
  package let sampleRate: Double
  package let steps: Int

  package static let noiseMultipliers: ClosedRange<Double> = 0.01...1e9
  /// As many as any run has, and few enough that no count overflows.
  package static let largestSteps = 1_000_000_000_000

  /// Throws `PrivacyError.outOfRange` or `countOutOfRange` for 0, negative, not finite or too large values.
  package init(noiseMultiplier: Double, sampleRate: Double, steps: Int) throws {
    guard Self.noiseMultipliers.contains(noiseMultiplier) else {
      throw PrivacyError.outOfRange(
        name: "the noise multiplier", value: noiseMultiplier,
        range: "\(Self.noiseMultipliers.lowerBound) to \(Self.noiseMultipliers.upperBound)")
    }
    guard sampleRate > 0, sampleRate <= 1 else {
      throw PrivacyError.outOfRange(name: "the sample rate", value: sampleRate, range: "above 0 and at most 1")
    }
    guard (1...Self.largestSteps).contains(steps) else {
      throw PrivacyError.countOutOfRange(name: "the number of steps", value: steps, range: "1 to \(Self.largestSteps)")
    }
    self.noiseMultiplier = noiseMultiplier
    self.sampleRate = sampleRate
    self.steps = steps
  }

  /// The same mechanism with another number of steps.
  package func with(steps: Int) throws -> Self {
    try Self(noiseMultiplier: noiseMultiplier, sampleRate: sampleRate, steps: steps)
  }

  /// The list with steps of equal noise and rate counted together, in the order of their first appearance.
  static func merged(_ mechanisms: [Self]) throws -> [Self] {
    var merged: [Self] = []
    for mechanism in mechanisms {
      if let index = merged.firstIndex(where: {
        $0.noiseMultiplier == mechanism.noiseMultiplier && $0.sampleRate == mechanism.sampleRate
      }) {
        merged[index] = try merged[index].with(steps: merged[index].steps + mechanism.steps)
      } else {
        merged.append(mechanism)
      }
    }
    return merged
  }
}

/// The privacy loss of one step at an outcome x, log Q(x)/P(x) = log(1 − q + q exp((2x − 1)/(2σ²))): increasing in x, above
/// log(1 − q).
extension SubsampledGaussian {
  func loss(at x: Double) -> Double {
    let exponent = (2 * x - 1) / (2 * noiseMultiplier * noiseMultiplier)
    if sampleRate == 1 { return exponent }
    // Where the exponential is large, 1 − q plays no part beside it; the bound keeps it from overflowing.
    if exponent > 600 { return exponent + log(sampleRate) }
    return log1p(sampleRate * expm1(exponent))
  }

  /// The outcome with this loss; −∞ for losses that no outcome has.
  func outcome(withLoss loss: Double) -> Double {
    let variance = noiseMultiplier * noiseMultiplier
    if sampleRate == 1 { return variance * loss + 0.5 }
    if loss > 600 { return variance * (loss - log(sampleRate)) + 0.5 }
    let ratio = expm1(loss) / sampleRate
    return ratio <= -1 ? -.infinity : variance * log1p(ratio) + 0.5
  }

  /// The mass below x, or above it, under P and under Q. Each is exact relative to itself, so tails keep their digits.
  func masses(below x: Double) -> (without: Double, with: Double) {
    let without = Self.normalTail(-x / noiseMultiplier)
    return (without, (1 - sampleRate) * without + sampleRate * Self.normalTail((1 - x) / noiseMultiplier))
  }

  func masses(above x: Double) -> (without: Double, with: Double) {
    let without = Self.normalTail(x / noiseMultiplier)
    return (without, (1 - sampleRate) * without + sampleRate * Self.normalTail((x - 1) / noiseMultiplier))
  }

  /// The probability that a standard normal variable is above z.
  static func normalTail(_ z: Double) -> Double { erfc(z * 0.5.squareRoot()) / 2 }

  /// The densities P and Q at x.
  func densities(at x: Double) -> (without: Double, with: Double) {
    let (a, b) = (x / noiseMultiplier, (x - 1) / noiseMultiplier)
    let scale = 1 / (noiseMultiplier * (2 * Double.pi).squareRoot())
    let without = scale * exp(-a * a / 2)
    return (without, (1 - sampleRate) * without + sampleRate * scale * exp(-b * b / 2))
  }
}
