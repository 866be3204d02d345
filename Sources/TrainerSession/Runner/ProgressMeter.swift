import Wire

/// Reports a job's progress every few seconds.
struct ProgressMeter {
  private let job: JobID
  private let totalSteps: Int
  private let clock = ContinuousClock()
  private var lastReport: ContinuousClock.Instant
  private var rows = 0

  init(job: JobID, totalSteps: Int) {
    self.job = job
    self.totalSteps = totalSteps
    lastReport = clock.now
  }

  mutating func count(rows: Int, step: Int, report: (TrainerEvent) -> Void) {
    self.rows += rows
    let elapsed = lastReport.duration(to: clock.now)
    guard elapsed >= .seconds(5) else { return }
    report(
      .progress(job: job, step: step, totalSteps: totalSteps, rowsPerSecond: Double(self.rows) / (elapsed / .seconds(1))))
    lastReport = clock.now
    self.rows = 0
  }
}
