import ArgumentParser
import OwnerSession

struct SubmitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Upload a job whose loss the trainer computes, and leave.",
    discussion: """
      Sends masked weights, rows and labels; the trainer goes on by itself. Come back with `encryptor status RUN` and \
      `encryptor retrieve RUN`. Without --detach it stays and follows, as `run` does. Needs loss.where: trainer.

      Example: encryptor submit job.yaml --set loss.where=trainer --keys keys --trainer-key trainer.pub --out runs/a --detach
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var keys: KeyOptions
  @OptionGroup var processing: ProcessingOptions
  @OptionGroup var audit: AuditOption
  @OptionGroup var place: ListenOption

  @Option(name: .customLong("out"), help: "The run directory to make.", completion: .directory)
  var output: String

  @Flag(help: "Leave once everything is uploaded.")
  var detach = false

  @Flag(help: "Go on with the upload of the run in --out.")
  var resume = false

  func run() throws {
    let launch = RunLaunch(
      job: job, keys: keys, processing: processing, audit: audit, listen: place.listen, output: output, detach: detach)
    try launch.start(resume: resume)
  }
}
