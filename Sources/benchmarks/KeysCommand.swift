import ArgumentParser
import Masking
import Numerics

/// Expanding an orthogonal key from its master key, and masking rows with it.
struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Time to expand an orthogonal key, and rows masked a second.")

  struct Result: Encodable {
    let threads: Int
    let width: Int
    let expansionSeconds: Double
    let maskedRowsPerSecond: Double
    let maskingGigaflops: Double
  }

  @OptionGroup var measurement: MeasurementOptions
  @Option(help: "Features d; the key is d + 2 wide.") var features = 2048
  @Option(help: "Rows of a block to mask.") var rows = 1024

  func validate() throws {
    guard (1...16384).contains(features), (1...65536).contains(rows) else {
      throw ValidationError("--features must be 1 … 16384, --rows 1 … 65536")
    }
  }

  func run() throws {
    let compute = measurement.compute
    // One hidden unit and two outputs: all other keys are next to nothing.
    let setup = try TrainingSetup(features: features, padding: 1, hidden: [1], outputs: 2, batch: 1)
    let block = SampleData.uniform([rows, features])
    var expansions: [Double] = []
    var maskings: [Double] = []
    for _ in 0..<measurement.rounds {
      let keys = try setup.keys(compute)
      expansions.append(Timing.seconds { keys.expand() })
      maskings.append(try Timing.seconds { _ = try keys.maskInputs(block) })
    }
    let masking = Timing.median(maskings)
    let width = Double(features + 2)
    try Report.write(
      Result(
        threads: compute.workers.threads, width: features + 2, expansionSeconds: Timing.median(expansions),
        maskedRowsPerSecond: Double(rows) / masking,
        maskingGigaflops: 2 * Double(rows) * Double(features) * width / masking / 1e9))
  }
}
