import Foundation
import Testing

@testable import Privacy

/// Composed losses against closed forms and integrals of one and two steps, and against the analytic Gaussian mechanism.
@Suite struct PrivacyLossTests {
  private static func step(_ sigma: Double, _ rate: Double, _ steps: Int = 1) throws -> SubsampledGaussian {
    try SubsampledGaussian(noiseMultiplier: sigma, sampleRate: rate, steps: steps)
  }

  /// The ε at which a decreasing δ(ε) passes `delta`.
  private static func epsilon(delta: Double, _ function: (Double) -> Double) -> Double {
    var (low, high) = (0.0, 500.0)
    if function(0) <= delta { return 0 }
    for _ in 0..<200 {
      let middle = (low + high) / 2
      if function(middle) > delta { low = middle } else { high = middle }
    }
    return high
  }

  /// δ(ε) of one step in the worse direction: the loss is monotone in the outcome, so the best event is a half line.
  private static func deltaOfOneStep(_ step: SubsampledGaussian, epsilon: Double) -> Double {
    let (removing, adding) = directionsOfOneStep(step, epsilon: epsilon)
    return max(removing, adding)
  }

  private static func directionsOfOneStep(_ step: SubsampledGaussian, epsilon: Double) -> (Double, Double) {
    let above = step.masses(above: step.outcome(withLoss: epsilon))
    let below = step.masses(below: step.outcome(withLoss: -epsilon))
    return (above.with - exp(epsilon) * above.without, below.without - exp(epsilon) * below.with)
  }

  static let single = [(1.0, 0.01), (0.7, 0.3), (3, 0.05), (2, 1), (0.4, 0.9), (10, 0.2), (0.5, 1e-3)]

  @Test(arguments: single) func oneStepIsTheClosedForm(_ sigma: Double, _ rate: Double) throws {
    let step = try Self.step(sigma, rate)
    for delta in [1e-3, 1e-5, 1e-8] {
      let exact = Self.epsilon(delta: delta) { Self.deltaOfOneStep(step, epsilon: $0) }
      let found = try PrivacyLossAccountant([step], epsilonError: 1e-3, deltaError: delta / 1000).epsilon(delta: delta)
      #expect(found.lower <= exact && exact <= found.upper, "\(found) against \(exact)")
      #expect(abs(found.estimate - exact) <= 2e-5)
      #expect(found.upper - found.lower <= 2e-3 + 2e-3 * max(1, exact))
    }
  }

  /// Adding is never the worse direction here, so it is looked at by itself: δ is off by its slope, at most 1, times the true error
  /// of rounding, far below a cell, and by the error of δ.
  @Test(arguments: single) func eachDirectionOfOneStepIsTheClosedForm(_ sigma: Double, _ rate: Double) throws {
    let step = try Self.step(sigma, rate)
    let grid = try PrivacyLossGrid(mechanisms: [step], cells: 1 << 16, deltaError: 1e-9)
    let composed = PrivacyLossSpectra(of: [step], on: grid).composed(steps: [1])
    for epsilon in [0.0, 0.01, 0.1, 0.5, 2] {
      let exact = Self.directionsOfOneStep(step, epsilon: epsilon)
      #expect(abs(composed.delta(epsilon: epsilon, in: composed.removing) - max(0, exact.0)) <= grid.cell / 10 + 1e-9)
      #expect(abs(composed.delta(epsilon: epsilon, in: composed.adding) - max(0, exact.1)) <= grid.cell / 10 + 1e-9)
    }
  }

  /// Two different steps: δ(ε) = ∫ over the first outcome of δ of the second at ε less the first's loss, for each direction. At
  /// negative ε the event may be all outcomes, which the half line covers too.
  @Test(arguments: [(1.2, 0.2, 0.9, 0.1), (2, 1, 0.8, 0.05), (0.6, 0.02, 5, 0.5)])
  func twoDifferentStepsAreTheIntegral(_ s1: Double, _ q1: Double, _ s2: Double, _ q2: Double) throws {
    let (first, second) = (try Self.step(s1, q1), try Self.step(s2, q2))
    func delta(_ epsilon: Double) -> Double {
      let width = min(s1, s1 * s1) / 20
      var (removing, adding) = (0.0, 0.0)
      for index in 0...Int((24 * s1 + 1) / width) {
        let x = -12 * s1 + Double(index) * width
        let (density, loss) = (first.densities(at: x), first.loss(at: x))
        removing += density.with * Self.directionsOfOneStep(second, epsilon: epsilon - loss).0
        adding += density.without * Self.directionsOfOneStep(second, epsilon: epsilon + loss).1
      }
      return max(removing, adding) * width
    }
    let exact = Self.epsilon(delta: 1e-5, delta)
    let accountant = try PrivacyLossAccountant([first, second], epsilonError: 1e-3, deltaError: 1e-8)
    let found = try accountant.epsilon(delta: 1e-5)
    #expect(found.lower <= exact && exact <= found.upper, "\(found) against \(exact)")
    #expect(abs(found.estimate - exact) <= 2e-5)
    #expect(abs(try accountant.delta(epsilon: exact) / 1e-5 - 1) <= 1e-3)
  }

  /// Without sampling k steps of σ are one of σ/√k, whose δ(ε) = Φ(1/(2s) − εs) − e^ε Φ(−1/(2s) − εs) (Balle & Wang, "Improving the
  /// Gaussian Mechanism for Differential Privacy", 2018, Theorem 8).
  @Test(arguments: [(1.0, 1), (2, 1), (30, 2250), (4, 9), (0.5, 1), (1000, 10), (500, 1_000_000)])
  func withoutSamplingItIsTheAnalyticGaussian(_ sigma: Double, _ steps: Int) throws {
    let s = sigma / Double(steps).squareRoot()
    let exact = Self.epsilon(delta: 1e-6) { epsilon in
      erfc((epsilon * s - 1 / (2 * s)) / 2.0.squareRoot()) / 2
        - exp(epsilon) * erfc((epsilon * s + 1 / (2 * s)) / 2.0.squareRoot()) / 2
    }
    let accountant = try PrivacyLossAccountant([Self.step(sigma, 1, steps)], cells: 1 << 17, deltaError: 1e-9)
    let found = try accountant.epsilon(delta: 1e-6)
    #expect(found.lower <= exact && exact <= found.upper, "\(found) against \(exact)")
    // The error of ε bounds what chance makes of rounding; what it makes of its variance is a small part of that.
    #expect(abs(found.estimate - exact) <= accountant.epsilonError / 50)
  }

  /// The exact ε lies between the bounds of every grid, so the bounds of any two overlap; the estimates agree far better.
  @Test func gridsAgree() throws {
    let mechanisms = [try Self.step(1.5, 0.04, 500), try Self.step(4, 0.3, 40)]
    let found = try [1 << 14, 1 << 16, 1 << 18].map {
      try PrivacyLossAccountant(mechanisms, cells: $0, deltaError: 1e-8).epsilon(delta: 1e-5)
    }
    let widths = found.map { $0.upper - $0.lower }
    #expect(zip(widths, widths.dropFirst()).allSatisfy { $0 > 3.5 * $1 })
    #expect(found[0].lower <= found[2].lower && found[2].upper <= found[0].upper)
    #expect(abs(found[1].estimate - found[2].estimate) <= widths[1] / 100)
  }

  /// Equal steps may be given in parts and any order.
  @Test func compositionDependsOnTheTotalOnly() throws {
    let whole = try PrivacyLossAccountant(
      [Self.step(1.5, 0.04, 300), Self.step(3, 1, 2)], cells: 1 << 14, deltaError: 1e-8)
    let parts = try PrivacyLossAccountant(
      [Self.step(3, 1, 1), Self.step(1.5, 0.04, 100), Self.step(3, 1, 1), Self.step(1.5, 0.04, 200)], cells: 1 << 14,
      deltaError: 1e-8)
    #expect(abs(try whole.epsilon(delta: 1e-5).estimate - parts.epsilon(delta: 1e-5).estimate) < 1e-9)
  }

  @Test func roundedLossesKeepMassAndMean() throws {
    for (sigma, rate) in Self.single {
      let step = try Self.step(sigma, rate)
      for cell in [1e-3, 0.05, 2] {
        let rounded = PrivacyLossDistribution(of: step, cell: cell, tail: 1e-12)
        #expect(abs(rounded.with.reduce(0, +) - 1) < 1e-12)
        #expect(abs(rounded.without.reduce(0, +) - 1) < 1e-12)
        #expect(abs(rounded.removingShift) <= cell / 2 && abs(rounded.addingShift) <= cell / 2)
        #expect(rounded.with.allSatisfy { $0 >= 0 } && rounded.without.allSatisfy { $0 >= 0 })
        // The mean loss under P by another rule; the tail of 1e-12 holds losses of some tens.
        let width = min(sigma, sigma * sigma) / 40
        var mean = 0.0
        for index in 0...Int(24 * sigma / width) {
          let x = -12 * sigma + Double(index) * width
          mean -= step.densities(at: x).without * step.loss(at: x) * width
        }
        let found =
          rounded.without.indices.reduce(0.0) {
            $0 - rounded.without[$1] * Double(rounded.first + $1) * cell
          } + rounded.addingShift
        #expect(abs(found - mean) <= 1e-10 * max(1, 1 / (sigma * sigma)), "σ \(sigma) q \(rate): \(found) \(mean)")
      }
    }
  }

  @Test func lossesAndOutcomesAreInverse() throws {
    for (sigma, rate) in Self.single + [(0.02, 0.5), (1e6, 1e-6)] {
      let step = try Self.step(sigma, rate)
      for multiple in [-3.0, 0, 0.5, 2, 8] {
        let x = multiple * sigma
        let loss = step.loss(at: x)
        guard loss > log1p(-rate) * (1 - 1e-6) || rate == 1 || loss > -1e-3 else { continue }
        #expect(abs(step.loss(at: step.outcome(withLoss: loss)) - loss) <= 1e-12 * max(1, abs(loss)))
      }
      #expect(rate == 1 || step.outcome(withLoss: log1p(-rate) - 1) == -.infinity)
    }
  }

  @Test func whatCannotBeComposedIsRefusedWithAdvice() throws {
    let steps = try Self.step(1.5, 0.04, 2250)
    let tooFine = #expect(throws: PrivacyError.self) {
      try PrivacyLossAccountant([steps], epsilonError: 1e-7, deltaError: 1e-8)
    }
    guard case .gridTooFine(_, let cells, let needed?) = tooFine else {
      Issue.record("\(String(describing: tooFine))")
      return
    }
    #expect(cells == PrivacyLossAccountant.standardMaximumCells)
    #expect(tooFine?.description.contains("allow an error of \(needed) or more") == true)
    // The advice holds.
    #expect(throws: Never.self) {
      try PrivacyLossGrid(mechanisms: [steps], epsilonError: needed, deltaError: 1e-8, maximumCells: cells)
    }
    #expect(throws: PrivacyError.self) {
      try PrivacyLossAccountant([Self.step(0.01, 1)], cells: 1024, deltaError: 1e-8)
    }
    for error in [0, -1, .nan, .infinity] {
      #expect(throws: PrivacyError.self) { try PrivacyLossAccountant([steps], epsilonError: error, deltaError: 1e-8) }
      #expect(throws: PrivacyError.self) { try PrivacyLossAccountant([steps], epsilonError: 0.1, deltaError: error) }
    }
    for cells in [0, -1, 1000, 3000, 1 << 40, Int.max] {
      #expect(throws: PrivacyError.self) { try PrivacyLossAccountant([steps], cells: cells, deltaError: 1e-8) }
    }
    #expect(throws: PrivacyError.self) { try PrivacyLossAccountant([], cells: 1024, deltaError: 1e-8) }
    let accountant = try PrivacyLossAccountant([steps], cells: 1 << 14, deltaError: 1e-8)
    for delta in [0, 1, .nan, 1e-9] { #expect(throws: PrivacyError.self) { try accountant.epsilon(delta: delta) } }
    for epsilon in [-1, .nan, .infinity] {
      #expect(throws: PrivacyError.self) { try accountant.delta(epsilon: epsilon) }
    }
  }
}
