import ArgumentParser
import Datasets
import Numerics

/// A compressed matrix read by ascending blocks, as every job reads it, beside shuffled rows read one at a time, which inflates a chunk
/// for almost every row.
struct ReadingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reading", abstract: "Sequential blocks beside shuffled rows of a gzip-chunked matrix.",
    discussion: "Example: benchmarks reading tox21_morgan2048.h5 fingerprints")

  struct Result: Encodable {
    let rows: Int
    let columns: Int
    let inflationsPerChunk: Int
    let blockRowsPerSecond: Double
    let shuffledRowsPerSecond: Double
    let ratio: Double
  }

  @OptionGroup var measurement: MeasurementOptions
  @Argument(help: "An HDF5 file.") var file: String
  @Argument(help: "The feature matrix in it.") var features: String
  @Option(help: "Shuffled rows to read a round, at most all.") var sample = 2000

  func validate() throws {
    guard (1...10_000_000).contains(sample) else { throw ValidationError("--sample must be 1 … 10000000") }
  }

  func run() throws {
    var blocks: [Double] = []
    var shuffled: [Double] = []
    var inflations = 0
    var shape = (rows: 0, columns: 0)
    for _ in 0..<measurement.rounds {
      // Opened anew, so that no chunk is in libhdf5's cache yet.
      let source = try HDF5File(path: file).openFeatures(path: features)
      (shape, inflations) = ((source.rows, source.columns), source.inflationsPerChunk)
      blocks.append(Double(source.rows) / (try Timing.seconds { try readInBlocks(source) }))
      let again = try HDF5File(path: file).openFeatures(path: features)
      shuffled.append(Double(min(sample, source.rows)) / (try Timing.seconds { try readShuffled(again) }))
    }
    try Report.write(
      Result(
        rows: shape.rows, columns: shape.columns, inflationsPerChunk: inflations,
        blockRowsPerSecond: Timing.median(blocks), shuffledRowsPerSecond: Timing.median(shuffled),
        ratio: Timing.median(zip(blocks, shuffled).map { $0 / $1 })))
  }

  private func readInBlocks(_ source: any FeatureSource) throws {
    let block = max(1, source.preferredRowBlock)
    var values = Tensor<Float>(uninitialized: [min(block, source.rows), source.columns])
    for first in stride(from: 0, to: source.rows, by: block) {
      let rows = first..<min(source.rows, first + block)
      try values.withUnsafeMutableBufferPointer { target in
        try source.read(
          rows: rows, into: UnsafeMutableBufferPointer(rebasing: target[0..<(rows.count * source.columns)]))
      }
    }
  }

  private func readShuffled(_ source: any FeatureSource) throws {
    var row = Tensor<Float>(uninitialized: [1, source.columns])
    var generator = SystemRandomNumberGenerator()
    for number in (0..<source.rows).shuffled(using: &generator).prefix(sample) {
      try row.withUnsafeMutableBufferPointer { try source.read(rows: number..<(number + 1), into: $0) }
    }
  }
}
