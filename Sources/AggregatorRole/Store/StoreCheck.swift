import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Models
import Numerics

/// Whether a store is what an aggregator of this charter has left, before anything of it is used: otherwise damage would show at the sites, as if
/// the aggregator lied to them.
///
/// Read whole are the models that somebody can still ask for (the first, the newest, and the one that is the result or may be), what the
/// server's rule remembers, pooled sums and records; of every other model the length.
struct StoreCheck {
  let plan: FederationPlan
  let files: FederationFiles
  let models: StoredModels

  /// - Parameters:
  ///   - agenda: as it was read.
  ///   - log: `rounds.jsonl`.
  /// - Returns: the agenda with the hashes that one of a version before does not have.
  /// - Throws: `AggregatorError.damaged` that names the file; `FileError`.
  func run(_ agenda: Agenda, log: LineLog) throws -> Agenda {
    var agenda = agenda
    try checkRecords(&agenda, log)
    try checkModels(agenda)
    try checkSums(&agenda)
    try checkMemory(&agenda)
    agenda.version = Agenda.currentVersion
    return agenda
  }

  private func checkRecords(_ agenda: inout Agenda, _ log: LineLog) throws {
    guard log.lineCount >= agenda.done else {
      throw AggregatorError.damaged(
        path: files.rounds, "has \(log.lineCount) lines where \(agenda.done) were written")
    }
    // A kill leaves at most one record whose sum is not in the agenda yet.
    guard log.lineCount <= agenda.done + 1 else {
      throw AggregatorError.damaged(
        path: files.agenda, "has \(agenda.done) sums where \(files.rounds) has \(log.lineCount): it is an older copy")
    }
    var chain: String?
    let purposes = agenda.purposes(of: plan)
    for (line, purpose) in zip(try files.recordLines().prefix(agenda.done), purposes) {
      guard SumRecord(line: line)?.purpose == purpose.description else {
        throw AggregatorError.damaged(path: files.rounds, "has no record of \(purpose) where it was written")
      }
      chain = Agenda.chained(chain, line)
    }
    guard agenda.version < 2 || chain == agenda.records else {
      throw AggregatorError.damaged(path: files.rounds, AggregatorError.otherContent)
    }
    agenda.records = chain
  }

  private func checkModels(_ agenda: Agenda) throws {
    guard let length = plan.modelLength(agenda) else { return }
    var asked: Set<Int> = [0, agenda.models.count - 1]
    if let result = agenda.result { asked.insert(result.rounds) }
    if plan.charter.train.keep == .best, let best = agenda.best(of: plan.charter.task) { asked.insert(best.rounds) }
    for (rounds, hash) in agenda.models.enumerated() {
      try models.checkLength(rounds, length: length)
      if asked.contains(rounds) { try models.check(rounds, hash: hash, length: length) }
    }
  }

  private func checkSums(_ agenda: inout Agenda) throws {
    for purpose in agenda.purposes(of: plan).prefix(agenda.done) where purpose.isPooled {
      let values = try files.readSums(of: purpose, in: agenda, plan)
      agenda.checks = (agenda.checks ?? [:]).merging(
        [files.name(purpose): FederationFiles.hash(of: values)], uniquingKeysWith: { _, new in new })
    }
  }

  private func checkMemory(_ agenda: inout Agenda) throws {
    let rounds = agenda.models.count - 1
    guard plan.rule.memoryVectors > 0, rounds > 0, let introduction = agenda.introduction else { return }
    let found = try files.memoryHash(rounds, count: plan.rule.memoryVectors * introduction.entries)
    let known = agenda.checks?[files.memoryName(rounds)]
    guard known == nil && agenda.version < 2 || known == found else {
      throw AggregatorError.damaged(path: files.memory(rounds), AggregatorError.otherContent)
    }
    agenda.checks = (agenda.checks ?? [:]).merging(
      [files.memoryName(rounds): found], uniquingKeysWith: { _, new in new })
  }
}

extension FederationPlan {
  /// Entries of the federation's models; nil while there is none.
  func modelLength(_ agenda: Agenda) -> Int? {
    guard !agenda.models.isEmpty, let introduction = agenda.introduction else { return nil }
    return modelLength(entries: introduction.entries)
  }
}

extension FederationFiles {
  /// Numbers of a pooled sum that is done, as the agenda has it.
  ///
  /// - Throws: as `readSums(of:count:check:)`.
  func readSums(of purpose: SumPurpose, in agenda: Agenda, _ plan: FederationPlan) throws -> Tensor<Double> {
    let columns = agenda.introduction?.columns ?? 0
    let count = purpose == .classCounts ? plan.charter.data.classes.count : columns + 1
    let check = agenda.checks?[name(purpose)]
    guard check != nil || agenda.version < 2 else {
      throw AggregatorError.damaged(path: self.agenda, "has no hash of \(name(purpose))")
    }
    return try readSums(of: purpose, count: count, check: check)
  }

  /// - Throws: `AggregatorError.damaged` for text that is none; `FileError`.
  func recordLines() throws -> [String] {
    do {
      return try LineLog.lines(of: rounds)
    } catch FileError.log(let path, let problem) {
      throw AggregatorError.damaged(path: path, "cannot be read (\(problem))")
    }
  }

  /// XXH64, in hexadecimal, of what the server's rule remembers after `rounds` rounds, a piece at a time.
  ///
  /// - Parameter count: numbers that it must have.
  /// - Throws: `AggregatorError.damaged`; `FileError`.
  func memoryHash(_ rounds: Int, count: Int) throws -> String {
    let path = memory(rounds)
    guard RegularFile.exists(path) else { throw AggregatorError.damaged(path: path, "is not there any more") }
    let file = try SpoolFile(reading: path)
    guard try file.length == count * MemoryLayout<Double>.stride else {
      throw AggregatorError.damaged(path: path, "does not hold \(count) numbers")
    }
    var hash = ContentHash()
    var start = 0
    while start < count {
      let piece: Tensor<Double> = try numbers(min(count - start, ModelStep.pieceEntries), of: file, at: start)
      piece.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
      start += piece.count
    }
    return hash.value().hexadecimal
  }
}
