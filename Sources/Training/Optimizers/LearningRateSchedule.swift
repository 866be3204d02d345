import Foundation
package import Architecture

/// The learning rate of each step: warm-up, then decay.
package struct LearningRateSchedule: Sendable, Equatable {
  private let decay: ScheduleDescription.Decay
  private let peak: Double
  private let totalSteps: Int
  /// w = ⌈warmup · N⌉.
  package let warmupSteps: Int

  /// `totalSteps` (N) at least 1, `learningRate` the peak; `description.warmup` in 0 … 1.
  package init(_ description: ScheduleDescription, learningRate: Double, totalSteps: Int) {
    decay = description.decay
    peak = learningRate
    self.totalSteps = totalSteps
    let steps = (description.warmup * Double(totalSteps)).rounded(.up)
    warmupSteps = steps.isFinite ? max(0, min(totalSteps, Int(exactly: steps) ?? totalSteps)) : 0
  }

  /// Of step t = 0 … N − 1: peak·(t+1)/w for t < w; after it peak, peak·(N−t)/(N−w) or peak·½(1+cos(π(t−w)/(N−w))).
  package func rate(step: Int) -> Double {
    if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
    let remaining = Double(totalSteps - step)
    let span = Double(totalSteps - warmupSteps)
    switch decay {
    case .none: return peak
    case .linear: return peak * remaining / span
    case .cosine: return peak * 0.5 * (1 + cos(.pi * Double(step - warmupSteps) / span))
    }
  }
}
