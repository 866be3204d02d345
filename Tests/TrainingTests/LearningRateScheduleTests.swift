import Models
import Foundation
import Testing

@testable import Training

/// The formulas of docs/job-reference.md worked by hand for N = 10.
@Suite struct LearningRateScheduleTests {
  private func rates(_ warmup: Double, _ decay: ScheduleDescription.Decay) -> [Double] {
    let schedule = LearningRateSchedule(
      ScheduleDescription(warmup: warmup, decay: decay), learningRate: 2, totalSteps: 10)
    return (0..<10).map(schedule.rate)
  }

  /// One division or multiplication apart at most: a unit of 2.2e-16 times the rate 2, twice.
  private func expect(_ found: [Double], _ expected: [Double]) {
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-15 } && found.count == expected.count, "\(found)")
  }

  @Test func noneIsConstantAfterWarmup() {
    expect(rates(0, .none), Array(repeating: 2, count: 10))
    // w = ⌈0.35 · 10⌉ = 4.
    expect(rates(0.35, .none), [0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2])
  }

  @Test func linearEndsAtTheLastShare() {
    expect(rates(0, .linear), [2, 1.8, 1.6, 1.4, 1.2, 1, 0.8, 0.6, 0.4, 0.2])
    // w = 5: (10 − t) / 5.
    expect(rates(0.5, .linear), [0.4, 0.8, 1.2, 1.6, 2, 2, 1.6, 1.2, 0.8, 0.4])
  }

  @Test func cosineFallsAsAHalfWave() {
    let wave = (0..<6).map { 1 + cos(.pi * Double($0) / 6) }
    expect(rates(0.4, .cosine), [0.5, 1, 1.5, 2] + wave)
    #expect(abs(wave[3] - 1) < 1e-15)
  }

  @Test func warmupOverTheWholeRunReachesThePeakAtTheEnd() {
    expect(rates(1, .linear), (1...10).map { 0.2 * Double($0) })
  }
}
