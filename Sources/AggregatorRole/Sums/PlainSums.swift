import Federation
import Files
import Foundation
import Foundations
import SecureSums

/// Sums that are not masked, for charters that ask for that: the same integers as masked ones, without keys and without the rounds that
/// agree on survivors. The aggregator sees every upload.
final class PlainSums: Summation {
  /// What outlives the process. Version 1 had neither a version nor a check of its own.
  private struct Stored: Codable {
    struct Task: Codable {
      let sum: UInt64
      let purpose: String
      let model: String
      let format: String
      let entries: Int
      let cohort: [Int]
      /// Whose vectors are in files and count.
      var uploads: [Int] = []
      var isClosed = false
      /// XXH64, in hexadecimal, of each of these vectors, by the site's place; nil in version 1.
      var checks: [String: String]?

      /// Whether a sum over so many sites can be like this, whatever is in the file.
      func fits(sites: Int, next: UInt64) -> Bool {
        (1..<next).contains(sum) && SumPurpose(purpose) != nil && (1...SumLimits.entries).contains(entries)
          && cohort.allSatisfy((0..<sites).contains) && Set(cohort).count == cohort.count && !cohort.isEmpty
          && uploads.allSatisfy(cohort.contains) && Set(uploads).count == uploads.count
      }
    }

    static let currentVersion = 2

    var version: Int? = currentVersion
    var next: UInt64 = 1
    var task: Task?

    func fits(sites: Int) -> Bool {
      // Far from where adding overflows.
      (1...UInt64(1) << 40).contains(next) && task?.fits(sites: sites, next: next) != false
    }
  }

  private var stored: Stored {
    didSet { uploaded = Set(stored.task?.uploads ?? []) }
  }
  /// Whose uploads count, as in `stored`.
  private var uploaded: Set<Int> = []
  private let path: String
  private let sites: Int
  private let minimum: Int
  private let names: ([Int]) -> String
  /// Of the uploads in `added`.
  private var accumulated: [UInt64] = []
  private var added: Set<Int> = []

  /// - Parameters:
  ///   - path: of the file that it keeps itself in.
  ///   - minimum: uploads that a sum needs.
  ///   - names: of sites, for messages.
  /// - Throws: `FileError`; `AggregatorError.damaged`.
  init(path: String, sites: Int, minimum: Int, names: @escaping ([Int]) -> String) throws {
    self.path = path
    self.sites = sites
    self.minimum = minimum
    self.names = names
    do {
      guard let bytes = try SmallFile.read(path) else {
        stored = Stored()
        return
      }
      guard let (found, isChecked) = CheckedJSON.decode(Stored.self, from: bytes), found.fits(sites: sites),
        isChecked ? found.version == Stored.currentVersion : found.version == nil
      else { throw AggregatorError.damaged(path: path, AggregatorError.otherContent) }
      stored = found
      stored.version = Stored.currentVersion
      uploaded = Set(found.task?.uploads ?? [])
    } catch FileError.file(let path, let problem) {
      throw AggregatorError.damaged(path: path, problem.finding)
    }
  }

  var stage: SummationStage {
    guard let task = stored.task else { return .idle }
    return task.isClosed ? .complete : .uploading
  }

  var progress: String { "\(stage) \(stored.next)" }

  var current: SumTask? {
    stored.task.map { SumTask(sum: $0.sum, attempt: 1, purpose: $0.purpose, cohort: $0.cohort) }
  }

  var readySites: [Int] { Array(0..<sites) }

  var sumsLeft: Int { .max }

  var nextSum: UInt64 { stored.next }

  func isOpened(_ purpose: SumPurpose) -> Bool { false }

  var waitingFor: [Int] {
    guard let task = stored.task, !task.isClosed else { return [] }
    return task.cohort.filter { !uploaded.contains($0) }
  }

  func due(for site: Int) -> AggregatorAnswer? {
    guard let task = stored.task, wants(uploadOf: site) else { return nil }
    return .plainRequest(
      PlainRequest(sum: task.sum, attempt: 1, purpose: task.purpose, model: task.model, format: task.format))
  }

  func receive(_ message: [UInt8], from site: Int) throws {
    throw AggregatorError.notMasked
  }

  func receive(upload header: [UInt8], vector: UnsafeBufferPointer<UInt64>, from site: Int) throws {
    guard var task = stored.task, task.cohort.contains(site), vector.count == task.entries, header.isEmpty else {
      throw AggregatorError.unwanted("it is of another sum")
    }
    let isKnown = uploaded.contains(site)
    guard isKnown || !task.isClosed else { throw AggregatorError.unwanted(Self.tooLate) }
    let check = ContentHash.hexadecimal(of: UnsafeRawBufferPointer(vector))
    // Neither a disk that was not read since, nor a site that makes it anew, is trusted to give the same again.
    if isKnown, let kept = task.checks?["\(site)"], kept != check {
      throw AggregatorError.unwanted(
        "it has other values than the one that came before and that the sum counts: start this site again with the file, and on the kind of "
          + "processor, that it was made with")
    }
    if !isKnown {
      task.uploads.append(site)
      task.checks = (task.checks ?? [:]).merging(["\(site)": check]) { _, new in new }
      task.isClosed = task.uploads.count == task.cohort.count
      try save { $0.task = task }
    }
    guard added.insert(site).inserted else { return }
    if accumulated.isEmpty { accumulated = [UInt64](repeating: 0, count: vector.count) }
    accumulated.withUnsafeMutableBufferPointer { sum in
      for index in sum.indices { sum[index] &+= vector[index] }
    }
  }

  static let tooLate = "it came after the sum went on without this site; it is not added"

  func wants(uploadOf site: Int) -> Bool {
    guard let task = stored.task else { return false }
    return uploaded.contains(site) ? !added.contains(site) : !task.isClosed && task.cohort.contains(site)
  }

  func has(uploadOf site: Int) -> Bool {
    stage == .uploading && uploaded.contains(site) && added.contains(site)
  }

  var vectorsMissing: [Int] {
    uploaded.subtracting(added).sorted()
  }

  func proceed() throws -> String? {
    guard var task = stored.task, !task.isClosed else { return nil }
    guard task.uploads.count >= minimum else {
      return "\(task.uploads.count) of at least \(minimum) uploads are there; missing: \(names(waitingFor))"
    }
    task.isClosed = true
    try save { $0.task = task }
    return nil
  }

  func prepare(sums: Int) throws {}

  func begin(_ purpose: SumPurpose, modelHash: [UInt8], cohort: [Int], format: VectorFormat) throws {
    guard stored.task == nil else { throw AggregatorError.unwanted("a sum is under way") }
    try save { stored in
      stored.task = Stored.Task(
        sum: stored.next, purpose: purpose.description, model: modelHash.hexadecimal, format: format.digest.hexadecimal,
        entries: format.count, cohort: cohort)
      stored.next += 1
    }
    (accumulated, added) = ([], [])
  }

  func result() throws -> SummationResult {
    guard let current, let task = stored.task, task.isClosed, vectorsMissing.isEmpty else {
      throw AggregatorError.unwanted("the sum is not complete")
    }
    return SummationResult(task: current, survivors: task.uploads.sorted(), vector: accumulated)
  }

  func finish() throws {
    try save { $0.task = nil }
    (accumulated, added) = ([], [])
  }

  /// Nothing has changed when this throws.
  private func save(_ change: (inout Stored) -> Void) throws {
    var changed = stored
    change(&changed)
    try AtomicFile.write(try CheckedJSON.encode(changed), to: path)
    stored = changed
  }
}
