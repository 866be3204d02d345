import ArgumentParser
import Foundation
import Tensors

/// Measurements inside one process: no sockets, no second program. `make bench` runs it with the measurements of whole runs.
@main
struct Benchmarks: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmarks",
    abstract: "Measure the parts of masked training inside this process; JSON on standard output.",
    discussion: """
      Ratios are of measurements that alternate within this run, so that another program on the machine slows both sides; each is \
      the median over the rounds.

      Example: env -u OPENBLAS_CORETYPE benchmarks --threads 2
      """,
    subcommands: [
      ProductShareCommand.self, TransformerShareCommand.self, KeysCommand.self, StepsCommand.self, ReadingCommand.self,
    ])

  static func main() {
    do { try KernelChoice.restartIfNeeded() } catch { exit(withError: error) }
    main(nil)
  }
}
