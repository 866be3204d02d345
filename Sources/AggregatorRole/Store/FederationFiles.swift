import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Numerics
import SecureSums

/// The files of a federation at the aggregator, in `jobs/ID` of its store:
///
/// | file | holds |
/// |---|---|
/// | `agenda.json` | where it stands (`Agenda`) |
/// | `sums.state` | the masked sums' state: secret |
/// | `sums.json` | the same of sums that are not masked |
/// | `rounds.jsonl` | a record of each sum that is done |
/// | `model-N.f32` | the model after N rounds, as the sites send and get it: little-endian floats |
/// | `memory-N.f64` | what the server's rule remembers then |
/// | `means.f64`, `deviations.f64`, `class-counts.f64` | what those sums came to, as `AggregatorAnswer.sums` has it |
/// | `start.f32` | the starting model on its way |
/// | `upload-…` | uploads on their way, and those of the sum that is not finished |
/// | `sites.json` | what `status` shows beside |
struct FederationFiles: Sendable {
  let folder: URL

  func path(_ name: String) -> String { folder.appending(path: name).path }

  var agenda: String { path("agenda.json") }
  var rounds: String { path("rounds.jsonl") }
  var start: String { path("start.f32") }
  var maskedSums: String { path("sums.state") }
  var plainSums: String { path("sums.json") }
  var sites: String { path("sites.json") }

  func model(_ rounds: Int) -> String { path("model-\(rounds).f32") }

  func memory(_ rounds: Int) -> String { path("memory-\(rounds).f64") }

  func sums(_ purpose: SumPurpose) -> String {
    path(purpose.description.replacing(" ", with: "-") + ".f64")
  }

  // MARK: - Agenda

  /// - Returns: a new one where there is none yet.
  /// - Throws: `AggregatorError.damaged`; `FileError`.
  func readAgenda(of plan: FederationPlan) throws -> Agenda {
    guard let bytes = try SmallFile.read(agenda) else { return Agenda() }
    guard let read = try? JSONDecoder().decode(Agenda.self, from: bytes), read.fits(plan) else {
      throw AggregatorError.damaged(path: agenda)
    }
    return read
  }

  func write(_ value: Agenda) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(value), to: agenda)
  }

  // MARK: - Numbers

  func writeSums(_ values: [Double], of purpose: SumPurpose) throws {
    try values.withUnsafeBytes { try AtomicFile.write($0, to: sums(purpose)) }
  }

  func readSums(of purpose: SumPurpose) throws -> Tensor<Double> {
    let file = try SpoolFile(reading: sums(purpose))
    let count = try file.length / MemoryLayout<Double>.stride
    return try numbers(count, of: file)
  }

  /// Entries of the model after `rounds` rounds from `offset` on, at most as many as one message holds.
  ///
  /// - Throws: `AggregatorError.noSuchModel`; `FileError`.
  func modelPiece(rounds: Int, offset: Int) throws -> Tensor<Float> {
    guard RegularFile.exists(model(rounds)) else { throw AggregatorError.noSuchModel(rounds: rounds) }
    let file = try SpoolFile(reading: model(rounds))
    let length = try file.length / MemoryLayout<Float>.stride
    guard offset < length else { throw AggregatorError.noSuchModel(rounds: rounds) }
    return try numbers(min(length - offset, FederationPlan.pieceEntries), of: file, at: offset)
  }

  private func numbers<Number: TensorElement>(
    _ count: Int, of file: SpoolFile, at offset: Int = 0
  ) throws(FileError) -> Tensor<Number> {
    var result = Tensor<Number>(uninitialized: [count])
    try result.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset * MemoryLayout<Number>.stride)
    }
    return result
  }
}
