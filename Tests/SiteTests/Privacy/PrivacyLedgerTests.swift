import Federation
import Foundation
import JobSpec
import Masking
import Numerics
import OwnerRole
import Privacy
import SecureSums
import TestSupport
import Testing

@testable import SiteRole

/// What is spent is counted before it leaves, once; and no noise covers two updates.
@Suite struct PrivacyLedgerTests {
  private static let units = ["site", "record"]

  /// Everything that must be the same after a kill: models' bits, ledgers, histories but for their times.
  private func outcome(_ federation: SmallFederation) throws -> [String] {
    try federation.rows.indices.flatMap { site -> [String] in
      let run = federation.runDirectory(site)
      let model = try Data(contentsOf: run.run.model.appending(path: "model.safetensors")).base64EncodedString()
      let scores = try String(contentsOf: run.ownScores, encoding: .utf8)
      let records = try SiteHistory(run).records.map { "\($0.purpose) \($0.survivors) \($0.weight) \($0.model)" }
      return try [model, scores] + records + PrivacyFixture.ledger(federation, site: site)
    }
  }

  private static let secrets = (0..<3).map(PrivacyFixture.secret)

  private func run(
    _ unit: String, strength: String = "rotation", group: GroupKey,
    _ moments: [Int: @Sendable (SiteEvent) -> Bool] = [:]
  ) throws -> SmallFederation {
    let federation = try PrivacyFixture.federation(unit: unit, strength: strength)
    let groups = Dictionary(uniqueKeysWithValues: federation.rows.indices.map { ($0, group) })
    for result in try federation.run(
      groups: groups, secrets: Self.secrets, interruptions: SmallFederation.Interruptions(moments: moments))
    {
      _ = try result.get()
    }
    return federation
  }

  @Test(arguments: units) func `Sites that are killed while they work leave no trace and spend nothing twice`(
    unit: String
  ) throws {
    let group = GroupKey()
    let undisturbed = try run(unit, group: group)
    let killed = try run(
      unit, group: group,
      [
        // Before the first step; counted and not sent; sent.
        0: { if case .began(.update(0)) = $0 { true } else { false } },
        1: { if case .spent = $0 { true } else { false } },
        2: { if case .sent(.update(1), _) = $0 { true } else { false } },
      ])
    #expect(try outcome(killed) == outcome(undisturbed))
    for site in killed.rows.indices {
      #expect(try PrivacyFixture.entries(killed, site: site).map(\.round) == [0, 1])
    }
    // With other secrets, another model.
    let other = try PrivacyFixture.federation(unit: unit, strength: "rotation")
    let groups = Dictionary(uniqueKeysWithValues: other.rows.indices.map { ($0, group) })
    for result in try other.run(groups: groups) { _ = try result.get() }
    #expect(try outcome(other).first != outcome(undisturbed).first)
  }

  @Test(arguments: units) func `Sums, histories and summaries say nothing without noise`(unit: String) throws {
    let federation = try run(unit, group: GroupKey())
    for purpose in federation.plan.purposes {
      #expect(try federation.plan.format(of: purpose, entries: 5, columns: 3).blocks.map(\.name) == ["update"])
    }
    for site in federation.rows.indices {
      let place = federation.runDirectory(site)
      let records = try SiteHistory(place).records
      #expect(records.map(\.purpose) == ["update 0", "update 1"])
      for record in records {
        #expect(record.means.isEmpty && record.trainingRows == 0 && record.validationRows == 0 && record.weight == 3)
      }
      // Its own scores it has for itself, of the model that each round began with.
      #expect(try OwnScoreFile(place).scores.map(\.rounds) == [0, 1])
      #expect(try OwnScoreFile(place).scores.allSatisfy { $0.values["rmse"] != nil })
      let report = try JSONDecoder().decode(PrivacyReport.self, from: Data(contentsOf: place.privacyReport))
      #expect(report.unit == unit && report.rounds == 2 && report.steps == (unit == "site" ? 2 : 6))
      #expect(report.epsilon <= 20 && report.epsilon > 19.9 && report.targetEpsilon == 20)
      let mechanism = try SubsampledGaussian(
        noiseMultiplier: report.noiseMultiplier, sampleRate: report.sampleRate, steps: report.steps)
      let spent = try PrivacySpending.spent([mechanism], delta: 1e-5)
      #expect(report.epsilonRenyi == spent.renyi.improved && report.epsilonPrivacyLoss == spent.privacyLoss?.upper)
      for file in [place.ledger, place.privacySecret, place.ownScores, place.privacyReport] {
        let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file.lastPathComponent)")
      }
    }
  }

  // MARK: - One update

  private func vector(_ work: SiteWork, round: Int, model: [Float]) throws -> [UInt64] {
    try work.entries(for: .update(round: round), model: model) { _, _ in }
  }

  @Test(arguments: units) func `A round that is made again is the same bits and counted once; the next has other noise`(
    unit: String
  ) throws {
    let federation = try PrivacyFixture.federation(unit: unit)
    let first = try federation.work(0)
    let model = try first.start()
    let made = try vector(first, round: 0, model: model)
    // Another process.
    let second = try federation.work(0, resuming: true)
    #expect(try vector(second, round: 0, model: model) == made)
    #expect(try PrivacyFixture.entries(federation, site: 0).count == 1)
    #expect(second.privacyPlan == first.privacyPlan)
    // Of the same model, which may come back under privacy.
    #expect(try vector(second, round: 1, model: model) != made)
    #expect(try PrivacyFixture.entries(federation, site: 0).map(\.round) == [0, 1])
    let spent = try #require(try second.privacy?.spent)
    #expect(spent.epsilon <= 20 && spent.epsilon > 19.9)
  }

  @Test func `A second model of one round is refused before any noise is drawn for it`() throws {
    let federation = try PrivacyFixture.federation(unit: "site")
    let work = try federation.work(0)
    let model = try work.start()
    _ = try vector(work, round: 0, model: model)
    let before = try PrivacyFixture.ledger(federation, site: 0)
    #expect(throws: SiteError.aggregatorLies("the aggregator asks for round 1 of two models")) {
      try vector(work, round: 0, model: model.map { $0 + 1 })
    }
    #expect(try PrivacyFixture.ledger(federation, site: 0) == before)
  }

  @Test func `Another update of a round that is counted is refused: its noise would be taken off by the difference`()
    throws
  {
    let federation = try PrivacyFixture.federation(unit: "site")
    let privacy = try #require(try federation.work(0).privacy)
    try privacy.count(round: 1, model: "a", entries: [1, 2])
    try privacy.count(round: 1, model: "a", entries: [1, 2])
    for (model, entries) in [("a", [1, 3]), ("b", [1, 2])] {
      let error = #expect(throws: SiteError.self) {
        try privacy.count(round: 1, model: model, entries: entries.map(UInt64.init))
      }
      let text = error?.description ?? ""
      #expect(text.contains("the update of round 2 comes out otherwise than"), "\(text)")
      #expect(text.contains(federation.runDirectory(0).ledger.path), "\(text)")
    }
    #expect(try PrivacyFixture.entries(federation, site: 0).count == 1)
  }

  @Test func `A ledger that was replaced during a run is refused before anything is counted`() throws {
    let federation = try PrivacyFixture.federation(unit: "site")
    let privacy = try #require(try federation.work(0).privacy)
    try privacy.count(round: 0, model: "a", entries: [1, 2])
    let file = federation.runDirectory(0).ledger
    let kept = federation.directory.url("kept")
    try FileManager.default.copyItem(at: file, to: kept)
    func expectRefused() {
      for round in [0, 1] {
        let error = #expect(throws: SiteError.self) { try privacy.count(round: round, model: "a", entries: [1, 2]) }
        #expect(error?.description.contains("not the file any more that this site counts in") == true)
      }
    }
    // Gone, and another in its place, with the same content.
    try FileManager.default.removeItem(at: file)
    expectRefused()
    try FileManager.default.copyItem(at: kept, to: file)
    expectRefused()
    #expect(try PrivacyFixture.entries(federation, site: 0).map(\.round) == [0])
  }

  @Test func `Noise is of the round, the model and the site`() throws {
    let federation = try PrivacyFixture.federation(unit: "site")
    let work = try federation.work(0, secret: PrivacyFixture.secret(0))
    let other = try federation.work(1, secret: PrivacyFixture.secret(0))
    func noise(_ work: SiteWork, _ round: Int, _ model: String) throws -> [Float] {
      try #require(work.privacy).noised(
        [Tensor([0, 0, 0, 0], shape: [1, 4])], work.model.specifications, round: round, model: model,
        workers: Workers(threads: 2))[0].elements
    }
    let drawn = try [noise(work, 0, "a"), noise(work, 1, "a"), noise(work, 0, "b"), noise(other, 0, "a")]
    #expect(try noise(work, 0, "a") == drawn[0])
    #expect(Set(drawn).count == 4)
  }

  // MARK: - What does not fit together

  private func refusal(_ federation: SmallFederation) -> String {
    do {
      _ = try federation.work(0, resuming: true)
      return "not refused"
    } catch {
      return "\(error)"
    }
  }

  /// A run in which one update was counted.
  private func begun() throws -> SmallFederation {
    let federation = try PrivacyFixture.federation(unit: "site")
    let work = try federation.work(0)
    _ = try vector(work, round: 0, model: try work.start())
    return federation
  }

  @Test func `A ledger that is gone is refused`() throws {
    let federation = try begun()
    try FileManager.default.removeItem(at: federation.runDirectory(0).ledger)
    #expect(refusal(federation).contains("nobody knows what is spent"))
  }

  @Test func `A secret that is gone is refused once something was counted`() throws {
    let federation = try begun()
    try FileManager.default.removeItem(at: federation.runDirectory(0).privacySecret)
    #expect(refusal(federation).contains("would have other noise than those that left"))
    // A kill between the two files of a run that begins.
    let fresh = try PrivacyFixture.federation(unit: "site")
    _ = try fresh.work(0)
    try FileManager.default.removeItem(at: fresh.runDirectory(0).privacySecret)
    #expect(refusal(fresh) == "not refused")
  }

  @Test func `A secret that others can read is refused`() throws {
    let federation = try begun()
    let path = federation.runDirectory(0).privacySecret.path
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
    #expect(throws: MaskingError.self) { try federation.work(0, resuming: true) }
  }

  @Test(arguments: [
    ("\"round\":0", "\"round\":2", "is not what this program has written"),
    ("\"round\":0", "\"round\":-1", "is not what this program has written"),
    ("\"update\"", "\"date\"", "is not what this program has written"),
    ("\"version\":1", "\"version\":3", "is not what this program has written"),
    ("\"clip_norm\":0.05", "\"clip_norm\":0.1", "was begun under other terms"),
    ("\"delta\":1e-05", "\"delta\":1e-06", "was begun under other terms"),
  ]) func `A ledger that was changed is refused`(part: String, other: String, reason: String) throws {
    let federation = try begun()
    let file = federation.runDirectory(0).ledger
    let text = try asVersion1(file)
    try #require(text.contains(part), "\(text)")
    try text.replacing(part, with: other).write(to: file, atomically: false, encoding: .utf8)
    #expect(refusal(federation).contains(reason))
  }

  /// Gives a ledger the form of a version before, whose lines have no checks; what is wrong with it then shows by its content alone.
  private func asVersion1(_ file: URL) throws -> String {
    let text = try String(contentsOf: file, encoding: .utf8).replacing(/"check":"[0-9a-f]{16}",/, with: "")
      .replacing("\"version\":2", with: "\"version\":1")
    try text.write(to: file, atomically: false, encoding: .utf8)
    return text
  }

  @Test func `A ledger of the version before is read, and goes on in its form`() throws {
    let federation = try begun()
    let file = federation.runDirectory(0).ledger
    let text = try asVersion1(file)
    let privacy = try #require(try federation.work(0, resuming: true).privacy)
    try privacy.count(round: 1, model: "a", entries: [1, 2])
    #expect(try String(contentsOf: file, encoding: .utf8).hasPrefix(text))
    #expect(try PrivacyFixture.entries(federation, site: 0).map(\.round) == [0, 1])
    #expect(refusal(federation) == "not refused")
  }

  @Test func `Any change of a ledger is refused by the file's name`() throws {
    let federation = try begun()
    let file = federation.runDirectory(0).ledger
    let good = try Data(contentsOf: file)
    for place in good.indices.dropLast() {
      var bytes = good
      bytes[place] ^= 1
      try bytes.write(to: file)
      let reason = refusal(federation)
      #expect(reason.contains(file.path) && reason.contains("nothing more is sent"), "byte \(place): \(reason)")
    }
    // Of a digit of which no other rule knows.
    var bytes = good
    bytes[good.count - 4] = good[good.count - 4] == 0x61 ? 0x62 : 0x61
    try bytes.write(to: file)
    #expect(throws: SiteError.self) { try federation.work(0, resuming: true) }
  }

  @Test func `A round twice in a ledger is refused, and a torn line is not counted`() throws {
    let federation = try begun()
    let file = federation.runDirectory(0).ledger
    let text = try String(contentsOf: file, encoding: .utf8)
    let entry = try #require(text.split(separator: "\n").last)
    try (text + entry.dropLast(3)).write(to: file, atomically: false, encoding: .utf8)
    #expect(refusal(federation) == "not refused")
    #expect(try PrivacyFixture.entries(federation, site: 0).count == 1)
    try (text + entry + "\n").write(to: file, atomically: false, encoding: .utf8)
    #expect(refusal(federation).contains("is not what this program has written"))
  }

  @Test func `Noise that would spend more than the charter allows is refused, with the figure`() throws {
    let federation = try begun()
    let file = federation.runDirectory(0).ledger
    let text = try asVersion1(file)
    let known = try #require(text.firstMatch(of: /"noise_multiplier":([0-9.]+)/))
    let lower = try #require(Double(known.1)) * 0.9
    try text.replacing(known.0, with: "\"noise_multiplier\":\(lower)").write(
      to: file, atomically: false, encoding: .utf8)
    let reason = refusal(federation)
    #expect(reason.contains("all rounds would spend ε 2") && reason.contains("more than the charter's 20"), "\(reason)")
  }

  @Test func `A round of the history that the ledger does not count is refused`() throws {
    let federation = try begun()
    let privacy = try #require(try federation.work(0, resuming: true).privacy)
    func record(_ round: Int, _ survivors: [String]) -> SumRecord {
      SumRecord(
        purpose: .update(round: round), sum: 1, attempt: 1, cohort: survivors, survivors: survivors, seconds: 0)
    }
    try privacy.check([record(0, ["site0", "site1"]), record(1, ["site1", "site2"])], site: "site0")
    #expect(throws: SiteError.self) { try privacy.check([record(1, ["site0", "site1"])], site: "site0") }
  }

  @Test func `An ε that no noise keeps to is refused before the site joins`() throws {
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 1, epsilon: 1.0e-9, delta: 1.0e-12", rounds: 100_000, local: "{updates: 10}")
    let error = #expect(throws: PrivacyError.self) { try federation.work(0) }
    guard case .notReachable? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
