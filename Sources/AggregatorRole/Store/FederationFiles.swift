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

  func memory(_ rounds: Int) -> String { path(memoryName(rounds)) }

  func sums(_ purpose: SumPurpose) -> String { path(name(purpose)) }

  /// Names in the folder, as the agenda has them.
  func name(_ purpose: SumPurpose) -> String { purpose.description.replacing(" ", with: "-") + ".f64" }

  func memoryName(_ rounds: Int) -> String { "memory-\(rounds).f64" }

  // MARK: - Agenda

  /// - Returns: a new one where there is none yet.
  /// - Throws: `AggregatorError.damaged`; `FileError`.
  func readAgenda(of plan: FederationPlan) throws -> Agenda {
    // A round has a hash and a score, a charter at most a million rounds.
    let limit = 1 << 20 + 128 * plan.charter.federation.rounds
    guard let bytes = try readSmall(agenda, limit: limit) else {
      // It was there before anything else.
      guard !RegularFile.exists(model(0)), try recordLines().isEmpty else {
        throw AggregatorError.damaged(path: agenda, "is not there any more")
      }
      return Agenda()
    }
    guard let (read, isChecked) = CheckedJSON.decode(Agenda.self, from: bytes), read.fits(plan),
      isChecked || read.version < Agenda.currentVersion
    else { throw AggregatorError.damaged(path: agenda, "is not what was written") }
    return read
  }

  func write(_ value: Agenda) throws {
    try AtomicFile.write(try CheckedJSON.encode(value), to: agenda)
  }

  private func readSmall(_ path: String, limit: Int) throws -> Data? {
    do {
      return try SmallFile.read(path, limit: limit)
    } catch FileError.file(let path, let problem) {
      throw AggregatorError.damaged(path: path, problem.finding)
    }
  }

  // MARK: - Numbers

  /// - Returns: XXH64 of the file, in hexadecimal.
  func writeSums(_ values: [Double], of purpose: SumPurpose) throws -> String {
    try values.withUnsafeBytes { bytes in
      try AtomicFile.write(bytes, to: sums(purpose))
      return ContentHash.hexadecimal(of: bytes)
    }
  }

  /// - Parameters:
  ///   - count: numbers that it must have.
  ///   - check: its hash; nil for one that a version before has written.
  /// - Throws: `AggregatorError.damaged`; `FileError`.
  func readSums(of purpose: SumPurpose, count: Int, check: String?) throws -> Tensor<Double> {
    let path = sums(purpose)
    guard RegularFile.exists(path) else { throw AggregatorError.damaged(path: path, "is not there any more") }
    let file = try SpoolFile(reading: path)
    guard try file.length == count * MemoryLayout<Double>.stride else {
      throw AggregatorError.damaged(path: path, "does not hold \(count) numbers")
    }
    let values: Tensor<Double> = try numbers(count, of: file)
    guard values.allFinite, check.map({ $0 == Self.hash(of: values) }) ?? true else {
      throw AggregatorError.damaged(path: path, AggregatorError.otherContent)
    }
    return values
  }

  static func hash(of values: Tensor<Double>) -> String {
    values.withUnsafeBufferPointer { ContentHash.hexadecimal(of: UnsafeRawBufferPointer($0)) }
  }

  /// Numbers of a file whose length is known to hold them.
  func numbers<Number: TensorElement>(
    _ count: Int, of file: SpoolFile, at offset: Int = 0
  ) throws(FileError) -> Tensor<Number> {
    var result = Tensor<Number>(uninitialized: [count])
    try result.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset * MemoryLayout<Number>.stride)
    }
    return result
  }
}
