import Foundations
import Models
import ArgumentParser
import JobSpec
import Masking
import OwnerRole

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Show the resolved job, its keys, and what the trainer will see. Sends nothing.",
    discussion: """
      Prints each space's key group with the layer, optimizer or setting that decides it. A combination that would not equal plaintext \
      training is refused here as it would be by `run`.

      Example: encryptor plan jobs/pbmc.yaml
      """)

  @OptionGroup var job: JobOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let resolved = try job.load()
    let prepared = try PreparedJob(job: resolved, secret: try OrderSecret(ephemeralWithSeed: resolved.train.seed))
    KernelNotice.show()
    let report = PlanReport(prepared)
    print(json ? try JSONText.of(report) : report.text(resolvedJob: resolved.yaml()))
  }
}

extension PlanReport {
  /// The plan as a person reads it.
  func text(resolvedJob: String) -> String {
    var lines = [resolvedJob]
    lines +=
      TextTable(
        header: ["parameter", "shape"],
        rows: parameters.map { [$0.name, $0.shape.map(String.init).joined(separator: " × ")] }
      ).lines
    lines += [
      "\(QuantityText.count(parameterCount)) parameters; \(QuantityText.count(trainingRows)) training rows, "
        + "\(QuantityText.count(validationRows)) validation rows, \(QuantityText.count(steps)) steps", "",
    ]
    lines +=
      TextTable(
        header: ["space", "width", "key", "decided by"],
        rows: spaces.map { ["\($0.space)", "\($0.width)", $0.keyDescription, $0.decidedBy] }
      ).lines
    lines += ["", "Computes in \(precision)"]
    lines += ["", "The trainer sees"] + trainerSees.map { "  - \($0)" } + [""]
    if let privacy { lines += privacy.lines + [""] }
    if !notices.isEmpty { lines += ["Before anything is sent"] + notices.map { "  - \($0)" } + [""] }
    lines +=
      TextTable(
        header: ["bytes on the wire", ""],
        rows: [
          ["rows, each once (trainer keeps them)", ByteSize.decimalText(traffic.rowBytesOnce)],
          ["rows, every epoch (it does not)", ByteSize.decimalText(traffic.rowBytesEveryEpoch)],
          ["outputs to the owner", ByteSize.decimalText(traffic.outputBytes)],
          ["output gradients to the trainer", ByteSize.decimalText(traffic.gradientBytes)],
          ["weights, one way", ByteSize.decimalText(traffic.weightBytes)],
        ], numeric: true
      ).lines
    return lines.joined(separator: "\n")
  }
}

extension JobPrivacyReport {
  /// As a person reads it, in the plan and at a run's end.
  var lines: [String] {
    let other = epsilonPrivacyLoss.map { QuantityText.fixed($0, 4) } ?? "none"
    return [
      "Differential privacy of a \(unit): ε = \(QuantityText.fixed(epsilon, 4)) at δ = \(delta), by Rényi divergences "
        + "\(QuantityText.fixed(epsilonRenyi, 4)), by privacy losses \(other); the smaller one counts",
      "  - noise multiplier \(QuantityText.fixed(noiseMultiplier, 4)), clip norm \(clipNorm), \(QuantityText.count(steps)) steps on "
        + "\(QuantityText.count(expectedBatch)) rows on average, each row in a step with probability \(QuantityText.fixed(sampleRate, 6))",
      "  - it covers \(covers)",
      "  - it does not cover \(doesNotCover)",
    ]
  }
}
