import ArgumentParser

/// For commands that ask the trainer something and are done.
struct PatienceOption: ParsableArguments {
  @Option(help: ArgumentHelp("Seconds to wait for a trainer that does not answer.", valueName: "seconds"))
  var patience: Int = 10

  func validate() throws {
    guard (0...1_000_000).contains(patience) else { throw ValidationError("--patience must be 0 … 1000000") }
  }
}
