import ArgumentParser
import Foundation
import Numerics

/// Measurements inside one process; `sites` and `questions` have a second program, an aggregator or a host. `make bench` runs some of them with the measurements of whole runs.
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
      ProductsCommand.self, ProductShareCommand.self, TransformerShareCommand.self, KeysCommand.self, StepsCommand.self,
      ReadingCommand.self, SitesCommand.self, GenerationCommand.self, QuestionsCommand.self,
    ])

  static func main() {
    do { try KernelChoice.restartIfNeeded() } catch { exit(withError: error) }
    main(nil)
  }
}

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

  var compute: Compute { compute(.full) }

  func compute(_ precision: ProductPrecision) -> Compute {
    Compute(
      workers: Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount), precision: precision)
  }

  /// Measures some figures together, round by round, and once before that does not count: it warms caches, pages and clocks.
  ///
  /// - Returns: for each figure its values, in the order of the rounds.
  func sample(_ round: () throws -> [Double]) rethrows -> [[Double]] {
    var series = try round().map { _ in [Double]() }
    for _ in 0..<rounds {
      for (figure, value) in try round().enumerated() { series[figure].append(value) }
    }
    return series
  }
}

/// Wall time of pieces of work.
enum Timing {
  /// Seconds that `work` takes.
  static func seconds(_ work: () throws -> Void) rethrows -> Double {
    try ContinuousClock().measure(work) / .seconds(1)
  }

  /// Seconds that the calling thread computes for.
  static func threadSeconds(_ work: () -> Void) -> Double {
    let time = ThreadTime()
    time.start()
    let before = time.seconds
    work()
    return time.seconds - before
  }

  /// The middle value; of an even number, the upper of the two. 0 of none.
  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }
}

/// Prints a measurement as one JSON object.
enum Report {
  static func write(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }
}
