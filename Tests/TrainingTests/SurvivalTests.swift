import Foundation
import Models
import Numerics
import Testing

@testable import Training

/// Cox's partial likelihood and Harrell's concordance beside their definitions, pair by pair.
@Suite struct SurvivalTests {
  private static func rows(_ count: Int, seed: UInt64, spread: Double) -> (risks: [Double], times: [SurvivalTime]) {
    var random = SystemRandom(state: seed)
    return (
      (0..<count).map { _ in spread * random.next() },
      // Few different times, so that many are equal.
      (0..<count).map { _ in SurvivalTime(time: (abs(random.next()) * 8).rounded(), isEvent: random.next() > -0.3) }
    )
  }

  /// A linear congruential generator (Knuth, The Art of Computer Programming, 3.3.4): the same rows every time.
  private struct SystemRandom {
    var state: UInt64

    /// In −1 ..< 1.
    mutating func next() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 52) - 1
    }
  }

  private func evaluate(_ risks: [Double], _ times: [SurvivalTime]) throws -> (loss: Double, gradient: [Double]) {
    let result = try LossFunction(task: .survival).evaluate(
      outputs: Tensor(risks, shape: [risks.count, 1]), targets: .times(times), normalizer: 1)
    return (result.lossSum, result.gradient.elements)
  }

  /// Σ over events of log Σ exp(η_j − η_i), from the definition.
  private func likelihood(_ risks: [Double], _ times: [SurvivalTime]) -> Double {
    times.indices.reduce(0) { sum, row in
      guard times[row].isEvent else { return sum }
      let atRisk = times.indices.filter { times[$0].time >= times[row].time }
      return sum + log(atRisk.reduce(0) { $0 + exp(risks[$1] - risks[row]) })
    }
  }

  @Test func workedByHand() throws {
    // Equal risks: the event at 1 has 3 rows at risk, that at 2 (with a row censored then) 2.
    let times = [
      SurvivalTime(time: 2, isEvent: true), SurvivalTime(time: 1, isEvent: true), SurvivalTime(time: 2, isEvent: false),
    ]
    let found = try evaluate([0, 0, 0], times)
    #expect(abs(found.loss - (log(3) + log(2))) <= 1e-15)
    let wanted = [1.0 / 3 + 1.0 / 2 - 1, 1.0 / 3 - 1, 1.0 / 3 + 1.0 / 2]
    #expect(zip(found.gradient, wanted).allSatisfy { abs($0 - $1) <= 1e-15 })
  }

  /// 40 terms of a few units each, whose rounding is 1e-16 of themselves.
  @Test(arguments: 0..<6) func theLossIsThatOfItsDefinition(_ seed: UInt64) throws {
    let (risks, times) = Self.rows(40, seed: seed, spread: 3)
    #expect(abs(try evaluate(risks, times).loss - likelihood(risks, times)) <= 1e-12)
  }

  /// Central differences with step h err by h² f‴/6 ≈ 1e-9 and by rounding 1e-14 / h ≈ 1e-9.
  @Test func theGradientIsTheDerivative() throws {
    let (risks, times) = Self.rows(25, seed: 9, spread: 2)
    let gradient = try evaluate(risks, times).gradient
    let step = 1e-5
    for row in risks.indices {
      var (above, below) = (risks, risks)
      above[row] += step
      below[row] -= step
      let difference = (likelihood(above, times) - likelihood(below, times)) / (2 * step)
      #expect(abs(gradient[row] - difference) <= 1e-7)
    }
  }

  /// The sums of exponentials of such risks are beyond every double.
  @Test func risksOfAnySizeAreTaken() throws {
    let times = (0..<4).map { SurvivalTime(time: Double($0), isEvent: true) }
    let found = try evaluate([-3000, 2000, -1000, 0], times)
    // Rows at risk: all, the last three, the last two, the last; the largest risk of each decides.
    #expect(found.loss == 2000 + 3000 + 0 + 1000)
    #expect(found.gradient.allSatisfy { $0.isFinite })
  }

  @Test func aBatchWithoutAnEventHasNoLossAndNoGradient() throws {
    let found = try evaluate([1, 2], [5, 6].map { SurvivalTime(time: $0, isEvent: false) })
    #expect(found.loss == 0)
    #expect(found.gradient == [0, 0])
  }

  @Test func targetsThatDoNotFitAreRefused() {
    let loss = LossFunction(task: .survival)
    let times = [SurvivalTime(time: 1, isEvent: true)]
    #expect(throws: TrainingError.self) {
      try loss.evaluate(outputs: Tensor<Float>([0, 0], shape: [1, 2]), targets: .times(times), normalizer: 1)
    }
    #expect(throws: TrainingError.self) {
      try loss.evaluate(outputs: Tensor<Float>([0], shape: [1, 1]), targets: .classes([0]), normalizer: 1)
    }
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .regression).evaluate(
        outputs: Tensor<Float>([0], shape: [1, 1]), targets: .times(times), normalizer: 1)
    }
  }

  private func concordance(_ risks: [Double], _ times: [SurvivalTime], parts: Int = 1) throws -> Double? {
    var metrics = MetricAccumulator(task: .survival)
    let size = (risks.count + parts - 1) / parts
    for start in stride(from: 0, to: risks.count, by: size) {
      let range = start..<min(start + size, risks.count)
      try metrics.add(
        outputs: Tensor(Array(risks[range]), shape: [range.count, 1]), targets: Targets.times(Array(times[range])))
    }
    #expect(metrics.result().primary.name == "concordance" && metrics.result().primary.higherIsBetter)
    return metrics.result().primary.value
  }

  @Test func concordanceWorkedByHand() throws {
    let times = [(1.0, true), (2, false), (2, true), (3, true)].map { SurvivalTime(time: $0, isEvent: $1) }
    // Pairs: the first with each of the others, the third with the second (censored then) and with the last.
    #expect(try concordance([4, 3, 2, 1], times) == 4.0 / 5)
    #expect(try concordance([1, 2, 2, 4], times) == 0.5 / 5)
    #expect(try concordance([1, 1, 1, 1], times) == 0.5)
    #expect(try concordance([1, 2], [1, 1].map { SurvivalTime(time: $0, isEvent: true) }) == nil)
  }

  @Test(arguments: 0..<6) func concordanceIsTheShareOfPairs(_ seed: UInt64) throws {
    var (risks, times) = Self.rows(60, seed: seed, spread: 3)
    // Equal risks too.
    risks = risks.map { $0.rounded() }
    var (doubled, pairs) = (0, 0)
    for (first, event) in times.enumerated() where event.isEvent {
      for (second, other) in times.enumerated()
      where other.time > event.time || (other.time == event.time && !other.isEvent) {
        pairs += 1
        doubled += risks[first] > risks[second] ? 2 : risks[first] == risks[second] ? 1 : 0
      }
    }
    #expect(try concordance(risks, times, parts: 7) == Double(doubled) / Double(2 * pairs))
  }
}
