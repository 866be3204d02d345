import Foundation

/// The least noise that keeps to ε.
package struct NoiseCalibration: Equatable, Sendable {
  /// σ.
  package let noiseMultiplier: Double
  /// What all mechanisms spend with it; `spent.epsilon` is at most the ε that was asked for.
  package let spent: PrivacySpent

  /// Finds the smallest σ, to the relative `tolerance`, with which so many steps, together with those `beside` them, spend at most
  /// ε at δ: with σ they keep to it, with σ/(1 + tolerance) they do not, unless that is below the smallest noise multiplier.
  ///
  /// 0 < ε ≤ 1e6, 0 < δ < 1, 0 < `sampleRate` ≤ 1, `steps` from 1, 1e-6 ≤ `tolerance` ≤ 1, `cells` as in `PrivacySpending`. Throws
  /// `PrivacyError`: `outOfRange`, `countOutOfRange`; `alreadySpent` where `beside` passes ε alone; `notReachable` where the
  /// largest noise multiplier does.
  package init(
    epsilon: Double, delta: Double, sampleRate: Double, steps: Int, beside: [SubsampledGaussian] = [],
    tolerance: Double = 1e-4, cells: Int = PrivacySpending.standardCells
  ) throws {
    guard epsilon > 0, epsilon <= 1e6 else {
      throw PrivacyError.outOfRange(name: "ε", value: epsilon, range: "above 0 and at most 1000000")
    }
    guard tolerance >= 1e-6, tolerance <= 1 else {
      throw PrivacyError.outOfRange(name: "the tolerance", value: tolerance, range: "0.000001 to 1")
    }
    try RenyiAccountant.check(delta: delta)
    if !beside.isEmpty {
      let spent = try PrivacySpending.spent(beside, delta: delta, cells: cells).epsilon
      guard spent < epsilon else { throw PrivacyError.alreadySpent(epsilon: epsilon, delta: delta, spent: spent) }
    }
    func mechanisms(_ sigma: Double) throws -> [SubsampledGaussian] {
      try beside + [SubsampledGaussian(noiseMultiplier: sigma, sampleRate: sampleRate, steps: steps)]
    }
    func renyi(_ sigma: Double) throws -> Double {
      try RenyiAccountant(mechanisms(sigma)).epsilon(delta: delta).improved
    }
    let search = NoiseSearch(epsilon: epsilon, range: SubsampledGaussian.noiseMultipliers)
    // Rényi divergences take milliseconds and come near.
    let near = try search.bracket(from: 1, factor: 4, tolerance: 0.1, of: renyi)?.high ?? search.range.upperBound
    // A coarse grid comes within its own true error, far below the bound, of what the fine grid will say.
    let close = try search.bracket(from: near, factor: 1.2, tolerance: tolerance / 8) { sigma in
      try min(renyi(sigma), Self.forecast(mechanisms(sigma), delta: delta, cells: cells))
    }
    var found: [Double: PrivacySpent] = [:]
    let start = min(search.range.upperBound, (close?.high ?? near) * (1 + tolerance / 4))
    let last = try search.bracket(from: start, factor: 1 + tolerance / 2, tolerance: tolerance) { sigma in
      let spent = try PrivacySpending.spent(mechanisms(sigma), delta: delta, cells: cells)
      found[sigma] = spent
      return spent.epsilon
    }
    guard let sigma = last?.high, let spent = found[sigma] else {
      throw PrivacyError.notReachable(
        epsilon: epsilon, delta: delta, largest: search.range.upperBound,
        reached: found[search.range.upperBound]?.epsilon ?? .infinity)
    }
    noiseMultiplier = sigma
    self.spent = spent
  }

  /// Noise that was found before, by this version or another one, and what so many steps spend with it.
  ///
  /// - Throws: `PrivacyError` as the other, but for `notReachable`: whether it keeps to an ε is for the caller to look at.
  package init(
    found noiseMultiplier: Double, delta: Double, sampleRate: Double, steps: Int
  ) throws {
    self.noiseMultiplier = noiseMultiplier
    spent = try PrivacySpending.spent(
      [SubsampledGaussian(noiseMultiplier: noiseMultiplier, sampleRate: sampleRate, steps: steps)], delta: delta)
  }

  private static let coarseCells = 1 << 16

  /// About what a grid of `cells` will give as upper bound; +∞ where no grid does.
  private static func forecast(_ mechanisms: [SubsampledGaussian], delta: Double, cells: Int) throws -> Double {
    let deltaError = PrivacySpending.deltaShare * delta
    do {
      let error = try PrivacyLossGrid.epsilonError(mechanisms, cells: cells, deltaError: deltaError)
      let coarse = try PrivacyLossAccountant(mechanisms, cells: min(coarseCells, cells), deltaError: deltaError)
        .epsilon(delta: delta - deltaError)
      return coarse.estimate + (error ?? .infinity)
    } catch let problem as PrivacyError where problem.isOfTheGridAlone {
      return .infinity
    }
  }
}

/// Where a decreasing ε(σ) passes a given ε.
private struct NoiseSearch {
  let epsilon: Double
  let range: ClosedRange<Double>

  /// Neighbours with ε(high) ≤ ε < ε(low) and high ≤ low · (1 + tolerance); low = high where even the smallest σ keeps to ε; nil
  /// where the largest does not. `function` is asked at `high` in any case. At most 64 steps out and 200 steps in.
  func bracket(
    from start: Double, factor: Double, tolerance: Double, of function: (Double) throws -> Double
  ) throws -> (low: Double, high: Double)? {
    var (low, high): (Point?, Point?) = (nil, nil)
    var (sigma, reach) = (min(max(start, range.lowerBound), range.upperBound), factor)
    for _ in 0..<64 where low == nil || high == nil {
      let point = Point(sigma: sigma, excess: excess(try function(sigma)))
      if point.excess <= 0 {
        high = point
        if sigma == range.lowerBound { return (sigma, sigma) }
        if low == nil { sigma = max(range.lowerBound, sigma / reach) }
      } else {
        low = point
        if sigma == range.upperBound { return nil }
        if high == nil { sigma = min(range.upperBound, sigma * reach) }
      }
      reach *= reach
    }
    guard var low, var high else { return nil }
    for _ in 0..<200 where high.sigma > low.sigma * (1 + tolerance) {
      let sigma = between(low, high)
      guard sigma > low.sigma, sigma < high.sigma else { break }
      let point = Point(sigma: sigma, excess: excess(try function(sigma)))
      // The end that stays counts for half from then on, lest the other end creeps (the Illinois rule).
      if point.excess <= 0 {
        (high, low.pull) = (point, low.pull / 2)
      } else {
        (low, high.pull) = (point, high.pull / 2)
      }
    }
    return (low.sigma, high.sigma)
  }

  private struct Point {
    let sigma: Double
    let excess: Double
    var pull = 1.0
  }

  /// log(ε(σ)/ε), in a range that interpolation can bear.
  private func excess(_ found: Double) -> Double { min(20, max(-20, log(found / epsilon))) }

  /// ε is nearly a power of σ: a straight line in logarithms, kept a little inside.
  private func between(_ low: Point, _ high: Point) -> Double {
    let (up, down) = (low.excess * low.pull, -high.excess * high.pull)
    let width = log(high.sigma / low.sigma)
    guard up < 10, down < 10, up + down > 0 else { return low.sigma * exp(width / 2) }
    return low.sigma * exp(width * min(0.99, max(0.01, up / (up + down))))
  }
}

/// Noise that several sites add together inside a secure sum (`unit: site`).
package enum SiteNoise {
  /// The standard deviation of one site's share, in units of `total`: each of n sites adds Gaussian noise of variance total²/m, with
  /// m = minimum survivors − declared colluders. Then the shares of any m sites that neither left nor told their noise have
  /// variance total² or more: variances of independent Gaussians add up. More survivors mean more noise, never less.
  ///
  /// `total` above 0 and finite, `minimumSurvivors` 1 or above, 0 ≤ `colluders` < `minimumSurvivors`; `PrivacyError.outOfRange` or
  /// `countOutOfRange` otherwise.
  package static func standardDeviation(total: Double, minimumSurvivors: Int, colluders: Int) throws -> Double {
    guard total > 0, total.isFinite else {
      throw PrivacyError.outOfRange(
        name: "the standard deviation of the noise", value: total, range: "above 0 and finite")
    }
    guard minimumSurvivors >= 1 else {
      throw PrivacyError.countOutOfRange(
        name: "the minimum of survivors", value: minimumSurvivors, range: "1 or above")
    }
    guard colluders >= 0, colluders < minimumSurvivors else {
      throw PrivacyError.countOutOfRange(
        name: "the number of colluders", value: colluders,
        range:
          "0 or above and less than the minimum of survivors, \(minimumSurvivors): someone's noise must remain unknown")
    }
    return total / Double(minimumSurvivors - colluders).squareRoot()
  }
}
