import Failures
import TrainerSession

/// A store's report for a person.
struct StatusText {
  let lines: [String]

  init(_ report: StoreReport) {
    var lines = [Self.trainer(report.trainer)]
    if report.jobs.isEmpty { lines.append("no jobs") }
    lines += report.jobs.map(Self.job)
    self.lines = lines
  }

  private static func trainer(_ trainer: StoreReport.LiveTrainer?) -> String {
    guard let trainer else { return "no trainer is at work here" }
    var line = "trainer: process \(trainer.pid) on \(trainer.host)"
    if !trainer.endpoints.isEmpty { line += ", listening at \(trainer.endpoints.joined(separator: ", "))" }
    if !trainer.connecting.isEmpty { line += ", connecting to \(trainer.connecting.joined(separator: ", "))" }
    return line + ", heard of \(Int(trainer.heardSecondsAgo.rounded())) s ago"
  }

  private static func job(_ job: StoreReport.Job) -> String {
    var parts = ["\(job.job)  \(job.state.rawValue)"]
    if let owner = job.owner { parts.append("owner \(owner)…") }
    if let total = job.totalSteps { parts.append("step \(job.step) of \(total)") }
    if let checkpoint = job.checkpoint { parts.append("checkpoint \(checkpoint.time), \(bytes(checkpoint.bytes))") }
    if let memory = job.memoryBytes { parts.append("memory \(bytes(memory))") }
    parts.append("stored \(bytes(job.storedBytes))")
    if let failure = job.failure { parts.append(failure.printable()) }
    return parts.joined(separator: "  ")
  }

  private static func bytes(_ count: Int) -> String {
    switch count {
    case ..<1_024: "\(count) B"
    case ..<(1 << 20): "\((count + 1_023) >> 10) KiB"
    default: "\((count + (1 << 20) - 1) >> 20) MiB"
    }
  }
}
