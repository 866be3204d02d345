import ArgumentParser
import Foundation
import Tensors

/// On how many threads, and how often.
struct MeasurementOptions: ParsableArguments {
  @Option(help: "Worker threads. (default: all cores)")
  var threads: Int?

  @Option(help: "Rounds; the median counts.")
  var rounds: Int = 7

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 … 1000") }
  }

  var workers: Workers { Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount) }
}
