import ArgumentParser
import Foundation
import Tensors

/// How much of this machine to use.
struct ThreadsOption: ParsableArguments {
  @Option(help: "Threads for masking; results do not depend on it. (default: all cores)")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
  }

  var workers: Workers { Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount) }
}
