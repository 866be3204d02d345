/// One line of a run's history: a step, or an evaluation at the end of an epoch.
package enum ProgressRecord: Sendable, Equatable, Codable {
  /// `step` counts from 0; `seconds` is wall time since the step before.
  case step(step: Int, loss: Double, learningRate: Double, gradientNorm: Double, seconds: Double)
  /// After `step` steps; metrics by name.
  case evaluation(epoch: Int, step: Int, loss: Double, metrics: [String: Double], kept: Bool, seconds: Double)

  /// Records in one `progress` message, at most.
  package static let largestMessage = 1000
  /// Records that answer one `follow`, at most: an owner that gets so many asks again, so that no history fills its queue.
  package static let largestAnswer = 32_000
}
