import Wire

/// Counts a job's steps, and reports its progress every few seconds.
struct ProgressMeter {
  private let job: JobID
  private let totalSteps: Int
  private let metrics: TrainerMetrics
  private let clock = ContinuousClock()
  private var lastReport: ContinuousClock.Instant
  private var rows = 0

  init(job: JobID, totalSteps: Int, metrics: TrainerMetrics) {
    self.job = job
    self.totalSteps = totalSteps
    self.metrics = metrics
    lastReport = clock.now
  }

  /// After a step.
  ///
  /// - Parameter tokens: of its samples; 0 where a sample is one row.
  mutating func count(rows: Int, tokens: Int, step: Int, report: (TrainerEvent) -> Void) {
    metrics.countStep(rows: rows, tokens: tokens)
    self.rows += rows
    let elapsed = lastReport.duration(to: clock.now)
    guard elapsed >= .seconds(5) else { return }
    report(
      .progress(
        job: job, step: step, totalSteps: totalSteps, rowsPerSecond: Double(self.rows) / (elapsed / .seconds(1))))
    lastReport = clock.now
    self.rows = 0
  }
}
