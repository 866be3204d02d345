import Cryptography
import Federation
import Files
import Foundation
import Numerics
import SecureSums

/// Masked sums: `SumCoordinator` with sites by their place, its state in a file.
final class MaskedSums: Summation {
  private let coordinator: SumCoordinator

  /// - Parameters:
  ///   - path: of the file that holds its state, which is secret.
  ///   - key: the aggregator's.
  /// - Throws: `AggregatorError.damaged` for a file that is not what was written; `SumError`; `FileError`.
  init(path: String, roster: SumRoster, key: KeyAgreement) throws {
    let persist: (UnsafeRawBufferPointer) throws -> Void = { try SumStateFile.write($0, to: path) }
    do {
      coordinator = try SumStateFile.withState(path) { state in
        guard let state else { return try SumCoordinator(roster: roster, key: key, persist: persist) }
        return try SumCoordinator(restoring: state, roster: roster, key: key, persist: persist)
      }
    } catch FileError.file(let path, let problem) {
      throw AggregatorError.damaged(path: path, problem.finding)
    } catch SumError.state(let what) {
      throw AggregatorError.damaged(path: path, "is no state of sums (\(what))")
    } catch SumError.otherCharter {
      throw AggregatorError.damaged(path: path, "is the state of another federation's sums")
    }
  }

  var stage: SummationStage {
    switch coordinator.stage {
    case .idle: .idle
    case .announcing, .sharing, .delivering: .settingUp
    case .uploading: .uploading
    case .signing, .unmasking: .unmasking
    case .unmaskable: .complete
    }
  }

  var progress: String { "\(coordinator.stage) \(current?.sum ?? 0) \(current?.attempt ?? 0)" }

  var current: SumTask? {
    coordinator.request.map {
      SumTask(sum: $0.sum, attempt: $0.attempt, purpose: $0.purpose, cohort: $0.cohort.map(Self.place))
    }
  }

  var readySites: [Int] { coordinator.setUpSites.map(Self.place) }

  var sumsLeft: Int { coordinator.keysLeft }

  var nextSum: UInt64 { coordinator.nextSum }

  func isOpened(_ purpose: SumPurpose) -> Bool { coordinator.isFinished(purpose: purpose.description) }

  var waitingFor: [Int] { coordinator.waitingFor.map(Self.place) }

  func due(for site: Int) -> AggregatorAnswer? {
    // What throws is a key of the charter that no secret can be shared with: such a site is told nothing and counts as missing.
    (try? coordinator.messageDue(to: Self.number(site))).map { .sum(Tensor($0, shape: [$0.count])) }
  }

  func receive(_ message: [UInt8], from site: Int) throws {
    try coordinator.receive(message, from: Self.number(site))
  }

  func receive(upload header: [UInt8], vector: UnsafeBufferPointer<UInt64>, from site: Int) throws {
    do throws(SumError) {
      try coordinator.receive(upload: header, vector: vector, from: Self.number(site))
    } catch .late {
      throw AggregatorError.unwanted(PlainSums.tooLate)
    }
  }

  func wants(uploadOf site: Int) -> Bool {
    stage == .uploading && waitingFor.contains(site) || vectorsMissing.contains(site)
  }

  func has(uploadOf site: Int) -> Bool {
    stage == .uploading && coordinator.answered.contains(Self.number(site)) && !vectorsMissing.contains(site)
  }

  var vectorsMissing: [Int] { coordinator.vectorsMissing.map(Self.place) }

  func proceed() throws -> String? {
    do throws(SumError) {
      try coordinator.proceed()
      return nil
    } catch .waiting(let missing, let have, let need) {
      return "\(have) of at least \(need) are there; missing: \(missing)"
    }
  }

  func prepare(sums: Int) throws {
    try coordinator.openSetUp(sums: sums)
  }

  func begin(_ purpose: SumPurpose, modelHash: [UInt8], cohort: [Int], format: VectorFormat) throws {
    _ = try coordinator.begin(
      purpose: purpose.description, modelHash: modelHash, cohort: cohort.map(Self.number), format: format)
  }

  func result() throws -> SummationResult {
    guard let current else { throw AggregatorError.unwanted("the sum is not complete") }
    let result = try coordinator.result()
    return SummationResult(task: current, survivors: result.sites.map(Self.place), vector: result.vector)
  }

  func finish() throws {
    try coordinator.finish()
  }

  /// Sites are numbered from 1 in sums.
  private static func number(_ place: Int) -> Int { place + 1 }

  private static func place(_ number: Int) -> Int { number - 1 }
}
