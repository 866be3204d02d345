import Files
import Foundation
import JobSpec
import OwnerRole
import Privacy

/// What a site has spent, in `state/ledger.jsonl`: a first line with the noise, then a line for each round whose update may have left, written and
/// synced before it can.
///
/// Every line says by itself whether it is what was written (`CheckedJSON`); those of version 1 did not.
///
/// A line is of a round, so that a round that is made again after a kill is not counted twice; and it names the update, so that the round's noise
/// never covers two different ones, whose difference would be without noise.
final class PrivacyLedger {
  /// What does not change during a run.
  struct Terms: Codable, Equatable {
    enum CodingKeys: String, CodingKey {
      case version, unit, epsilon, delta
      case clipNorm = "clip_norm"
      case noiseMultiplier = "noise_multiplier"
      case sampleRate = "sample_rate"
      case stepsPerRound = "steps_per_round"
    }

    static let currentVersion = 2

    /// Of the file.
    let version: Int
    let unit: String
    let clipNorm: Double
    let epsilon: Double
    let delta: Double
    let noiseMultiplier: Double
    let sampleRate: Double
    let stepsPerRound: Int

    init(_ plan: PrivacyPlan, version: Int = currentVersion) {
      self.version = version
      unit = plan.target.unit.rawValue
      clipNorm = plan.target.clipNorm
      (epsilon, delta) = (plan.target.epsilon, plan.target.delta)
      noiseMultiplier = plan.mechanism.noiseMultiplier
      sampleRate = plan.mechanism.sampleRate
      stepsPerRound = plan.stepsPerRound
    }
  }

  struct Entry: Codable, Equatable {
    /// From 0.
    let round: Int
    /// SHA-256 of the model that the update is of, and of the update as it stands in the sum before one-time masks; hexadecimal.
    let model: String
    let update: String
  }

  let path: String
  private let log: LineLog
  let terms: Terms
  /// In the order of their lines.
  private(set) var entries: [Entry] = []
  private var byRound: [Int: Entry] = [:]

  /// The terms of a ledger; nil where there is none, or none that was begun.
  ///
  /// - Throws: `SiteError.damaged` for a first line that is none of a ledger; `FileError`.
  static func terms(of path: String) throws -> Terms? {
    guard RegularFile.exists(path), let line = try lines(of: path).first else { return nil }
    guard let terms = read(Terms.self, line, version: nil), (1...Terms.currentVersion).contains(terms.version),
      read(Terms.self, line, version: terms.version) != nil
    else { throw damaged(path) }
    return terms
  }

  /// Whether any round is counted there.
  static func hasEntries(_ path: String) throws -> Bool {
    try RegularFile.exists(path) && lines(of: path).count > 1
  }

  private static func lines(of path: String) throws -> [String] {
    do {
      return try LineLog.lines(of: path)
    } catch FileError.log {
      throw damaged(path)
    }
  }

  /// - Parameter version: of the file: from the second on lines have a check. Nil while it is not known.
  private static func read<Value: Codable>(_ type: Value.Type, _ line: String, version: Int?) -> Value? {
    guard let (value, isChecked) = CheckedJSON.decode(type, from: Data(line.utf8)) else { return nil }
    return isChecked || (version ?? 1) < 2 ? value : nil
  }

  /// Opens the ledger, or begins it.
  ///
  /// - Throws: `SiteError.privacy` for a ledger of other terms; `SiteError.damaged` for lines that are none, of no round of the run, or of a round
  ///   twice; `FileError`.
  init(path: String, plan: PrivacyPlan) throws {
    self.path = path
    let known = try Self.terms(of: path)
    let terms = Terms(plan, version: known?.version ?? Terms.currentVersion)
    self.terms = terms
    log = try LineLog(path: path)
    guard let known else {
      try log.append(try CheckedJSON.line(terms))
      try log.sync()
      return
    }
    guard known == terms else {
      throw SiteError.privacy("\(path) was begun under other terms than the charter's and this site's rows give now")
    }
    for line in try Self.lines(of: path).dropFirst() {
      guard let entry = Self.read(Entry.self, line, version: terms.version),
        (0..<rounds(of: plan)).contains(entry.round), byRound[entry.round] == nil
      else { throw Self.damaged(path) }
      keep(entry)
    }
  }

  private func rounds(of plan: PrivacyPlan) -> Int { plan.mechanism.steps / plan.stepsPerRound }

  private static func damaged(_ path: String) -> SiteError {
    .damaged(
      path: path,
      "is not what this program has written: put it back as it was; without it nobody knows what is spent, so nothing more is sent"
    )
  }

  /// Steps that may have left.
  var steps: Int { entries.count * terms.stepsPerRound }

  /// Counts an update before it leaves; once, however often it is made.
  ///
  /// - Returns: whether it was not counted before.
  /// - Throws: `SiteError.privacy` for another update of a round that is counted, and for a file that is not the ledger's any more; `FileError`,
  ///   and then it must not leave.
  @discardableResult
  func count(_ entry: Entry) throws -> Bool {
    try checkInPlace()
    if let known = byRound[entry.round] {
      guard known == entry else {
        throw SiteError.privacy(
          "the update of round \(entry.round + 1) comes out otherwise than \(path) has it from before, and the same noise on two updates would "
            + "show their difference: go on with the kind of processor and the file that it was made with, or let the sum go on without this site"
        )
      }
      // What a kill may have kept from the disk.
      try log.sync()
      return false
    }
    try log.append(try CheckedJSON.line(entry))
    try log.sync()
    keep(entry)
    return true
  }

  func counts(round: Int) -> Bool { byRound[round] != nil }

  private func keep(_ entry: Entry) {
    entries.append(entry)
    byRound[entry.round] = entry
  }

  /// What is written to a file that was moved away or replaced would be lost with the run.
  private func checkInPlace() throws {
    do {
      try log.checkInPlace()
    } catch {
      throw SiteError.privacy(
        "\(path) is not the file any more that this site counts in (moved, replaced or changed while it was in use); put it back as it was and "
          + "resume, nothing more is sent")
    }
  }
}
