import Wire

/// Reports every few seconds what of the summation of gradients was not hidden behind the backward pass.
struct ReductionMeter {
  private let job: JobID
  private let ranks: Int
  private let clock = ContinuousClock()
  private var lastReport: ContinuousClock.Instant
  /// Seconds that ranks waited, by step, until all have told.
  private(set) var waiting: [Int: [Double]] = [:]
  private(set) var steps = 0
  private var exposed = 0.0
  private var imbalance = 0.0

  init(job: JobID, ranks: Int) {
    self.job = job
    self.ranks = ranks
    lastReport = clock.now
  }

  /// - Returns: what to report, when it is time to.
  mutating func count(step: Int, waited: Double) -> TrainerEvent? {
    waiting[step, default: []].append(waited)
    guard let all = waiting[step], all.count == ranks, let least = all.min(), let most = all.max() else {
      return nil
    }
    waiting[step] = nil
    steps += 1
    // The last rank to come waits for the sum alone, the others for it, too.
    exposed += least
    imbalance += most - least
    guard lastReport.duration(to: clock.now) >= .seconds(5) else { return nil }
    defer {
      lastReport = clock.now
      (steps, exposed, imbalance) = (0, 0, 0)
    }
    return .reductions(
      job: job, steps: steps, exposed: exposed / Double(steps), imbalance: imbalance / Double(steps))
  }
}
