import ArgumentParser
import OwnerSession

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Submit a job, train it, and retrieve the unmasked weights.",
    discussion: """
      The run directory gets job.resolved.yaml, plan.h5, initial.safetensors, history.jsonl, summary.json and model/. After a kill, a lost \
      trainer or Ctrl-C the same command with --resume goes on where the last checkpoint is; the weights are the same to the bit.

      Example: encryptor run jobs/pbmc.yaml --keys keys --trainer-key trainer.pub --out runs/pbmc
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var keys: KeyOptions
  @OptionGroup var processing: ProcessingOptions
  @OptionGroup var audit: AuditOption
  @OptionGroup var place: ListenOption

  @Option(name: .customLong("out"), help: "The run directory to make.", completion: .directory)
  var output: String

  @Flag(help: "Go on with the run in --out.")
  var resume = false

  func run() throws {
    let launch = RunLaunch(
      job: job, keys: keys, processing: processing, audit: audit, listen: place.listen, output: output, detach: false)
    try launch.start(resume: resume)
  }
}
