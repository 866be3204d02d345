import ArgumentParser
import JobSpec

/// Which job, and what of it to change from the command line.
struct JobOptions: ParsableArguments {
  @Argument(help: "The job specification.", completion: .file(extensions: ["yaml", "yml"]))
  var job: String

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Override a key of the job, for example --set data.file=/data/tox21.h5 (repeatable).", valueName: "key=value"))
  var overrides: [String] = []

  func load() throws -> ResolvedJob {
    try ResolvedJob.load(path: job, overrides: overrides)
  }
}
