import ArgumentParser
import Foundations
import Foundation
import TrainerRole
import Protocol
import ServerProgram
import Service

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show the jobs and deployments in a store and the trainer at work on it, if there is one.",
    discussion: """
      Reads the store's files alone: it needs no trainer, no keys and no network, and writes nothing.

      Example: trainer status --store /scratch/trainer --json
      """)

  @OptionGroup var options: StatusOptions<Release>

  func run() throws {
    let report = try StoreSurvey(store: URL(filePath: options.store)).report()
    try options.show(report, lines: StatusText(report).lines)
  }
}

/// A store's report for a person.
struct StatusText {
  let lines: [String]

  init(_ report: StoreReport) {
    var lines = [report.trainer?.line(program: Release.name) ?? "no trainer is at work here"]
    if report.jobs.isEmpty { lines.append("no jobs") }
    lines += report.jobs.map(Self.job)
    lines += report.deployments.map(Self.deployment)
    self.lines = lines
  }

  private static func deployment(_ deployment: StoreReport.Deployment) -> String {
    var parts = ["deployment \(deployment.deployment)"]
    if let owner = deployment.owner { parts.append("owner \(owner)…") }
    if let file = deployment.damaged { parts.append("\(file) is damaged: its owner is to deploy it again") }
    parts.append("clients \(deployment.clients)")
    parts.append("questions \(deployment.questions)")
    parts.append("rows \(deployment.rows)" + (deployment.maximumRows.map { " of \($0)" } ?? ""))
    if let median = deployment.medianMilliseconds, let slow = deployment.slowMilliseconds {
      parts.append("latency p50 \(milliseconds(median)) p95 \(milliseconds(slow))")
    }
    if let memory = deployment.memoryBytes { parts.append("memory \(ByteSize.wholeText(memory))") }
    return parts.joined(separator: "  ")
  }

  private static func milliseconds(_ value: Double) -> String {
    "\(String(format: "%.1f", value)) ms"
  }

  private static func job(_ job: StoreReport.Job) -> String {
    var parts = ["\(job.job)  \(job.state.rawValue)"]
    if let owner = job.owner { parts.append("owner \(owner)…") }
    if let total = job.totalSteps { parts.append("step \(job.step) of \(total)") }
    if let checkpoint = job.checkpoint {
      parts.append("checkpoint \(checkpoint.time), \(ByteSize.wholeText(checkpoint.bytes))")
    }
    if let memory = job.memoryBytes { parts.append("memory \(ByteSize.wholeText(memory))") }
    parts.append("stored \(ByteSize.wholeText(job.storedBytes))")
    if let failure = job.failure { parts.append(failure.printable()) }
    return parts.joined(separator: "  ")
  }
}

/// A number of bytes as people write it: 500M, 8G, 1073741824; binary multiples.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init(bytes: Int) {
    self.bytes = bytes
  }

  init?(argument: String) {
    guard let bytes = ByteSize.parse(argument) else { return nil }
    self.bytes = bytes
  }

  var defaultValueDescription: String { ByteSize.argumentText(bytes) }
}
