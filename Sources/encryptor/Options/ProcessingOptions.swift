import ArgumentParser
import Tensors

/// How much of this machine to use and how patient to be.
struct ProcessingOptions: ParsableArguments {
  @OptionGroup var machine: ThreadsOption

  @Option(help: ArgumentHelp("Seconds to wait for a trainer that is not there or went away.", valueName: "seconds"))
  var patience: Int = 600

  func validate() throws {
    guard (0...1_000_000).contains(patience) else { throw ValidationError("--patience must be 0 … 1000000") }
  }

  var workers: Workers { machine.workers }
}
