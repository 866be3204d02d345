import Failures

/// One line of a run's history: a step, or an evaluation at the end of an epoch.
package enum ProgressRecord: Sendable, Equatable, Codable {
  /// `step` counts from 0; `seconds` is wall time since the step before.
  case step(step: Int, loss: Double, learningRate: Double, gradientNorm: Double, seconds: Double)
  /// After `step` steps; metrics by name.
  case evaluation(epoch: Int, step: Int, loss: Double, metrics: [String: Double], kept: Bool, seconds: Double)

  /// The record with the names of its metrics as they may be shown.
  var printable: ProgressRecord {
    guard case .evaluation(let epoch, let step, let loss, let metrics, let kept, let seconds) = self else {
      return self
    }
    let named = metrics.map { ($0.key.printable(limit: WireLimits.nameLength), $0.value) }
    return .evaluation(
      epoch: epoch, step: step, loss: loss, metrics: Dictionary(named, uniquingKeysWith: { first, _ in first }),
      kept: kept, seconds: seconds)
  }

  /// Records in one `progress` message, at most.
  package static let largestMessage = 1000
  /// Records that answer one `follow`, at most: an owner that gets so many asks again, so that no history fills its queue.
  package static let largestAnswer = 32_000
}
