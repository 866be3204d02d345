import JobSpec
import ArgumentParser
import OwnerSession

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
    let report = PlanReport(prepared)
    print(json ? try JSONText.of(report) : report.text(resolvedJob: resolved.yaml()))
  }
}
