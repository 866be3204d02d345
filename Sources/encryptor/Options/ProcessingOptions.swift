import ArgumentParser
import Foundation
import Tensors

/// How much of this machine to use and how patient to be.
struct ProcessingOptions: ParsableArguments {
  @Option(help: "Threads for masking; results do not depend on it. (default: all cores)")
  var threads: Int?

  @Option(help: ArgumentHelp("Seconds to wait for a trainer that went away.", valueName: "seconds"))
  var patience: Int = 600

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
    guard (0...1_000_000).contains(patience) else { throw ValidationError("--patience must be 0 … 1000000") }
  }

  var workers: Workers { Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount) }
}
