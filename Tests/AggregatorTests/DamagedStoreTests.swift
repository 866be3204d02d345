import Federation
import Files
import Foundation
import Foundations
import Numerics
import Protocol
import Service
import Synchronization
import Testing
import TestSupport

@testable import AggregatorRole

/// Stores whose files are not what was written: found when an aggregator starts or reads them, by the file's name, before a site hears of it.
@Suite(.waiting, .timeLimit(.minutes(5))) struct DamagedStoreTests {
  /// A store that its federation has come to the end of, with every kind of file.
  private func finished(_ aggregation: String = "secure") throws -> FederationTrial {
    let trial = try FederationTrial(
      TestFederation(
        strategy: "{name: fedadam, weighting: rows}", aggregation: aggregation, standardize: "pooled"))
    trial.startSites()
    try trial.expectEnd()
    return trial
  }

  static let files = [
    ("secure", "agenda.json"), ("secure", "rounds.jsonl"), ("secure", "sums.state"), ("plain", "sums.json"),
    ("secure", "model-0.f32"), ("secure", "model-2.f32"), ("secure", "memory-2.f64"), ("secure", "means.f64"),
    ("secure", "deviations.f64"),
  ]

  @Test(arguments: files)
  func aFileThatIsNotWhatWasWrittenIsNamed(_ aggregation: String, _ name: String) throws {
    let trial = try finished(aggregation)
    let file = try trial.content.folder.appending(path: name)
    let good = try Data(contentsOf: file)
    // Every bit of some bytes all over the file; of text, white space may be another.
    var generator = SplitMix(seed: 5)
    let isText = name.hasSuffix(".json")
    for place in stride(from: 0, to: good.count, by: max(1, good.count / 60)) {
      var bytes = good
      bytes[place] ^= 1 << UInt8(generator.next() % 8)
      if isText, [0x20, 0x0A, 0x0D, 0x09].contains(good[place]) { continue }
      try bytes.write(to: file)
      trial.expectRefusal(naming: name, "byte \(place)")
    }
    for (what, bytes) in [
      ("empty", Data()), ("cut", good.dropLast()), ("half", good.prefix(good.count / 2)), ("longer", good + good),
    ] {
      try bytes.write(to: file)
      trial.expectRefusal(naming: name, what)
    }
    try good.write(to: file)
    try trial.open()
    try FileManager.default.removeItem(at: file)
    trial.expectRefusal(naming: name, "removed")
  }

  /// Numbers that no federation has, in a file of a version before, which has no check of its own.
  @Test(arguments: [
    ("done", 1 << 62), ("done", -1), ("lastRound", 1 << 40), ("lastRound", -3), ("lastRound", 0), ("version", 7),
    ("entries", 1 << 62), ("entries", 0), ("columns", .max), ("columns", -1),
  ])
  func numbersOutsideOfEveryBoundAreRefused(_ key: String, _ value: Int) throws {
    let trial = try FederationTrial(TestFederation(rounds: 1, strategy: "{name: scaffold}"))
    trial.startSites()
    try trial.expectEnd()
    let file = try trial.content.folder.appending(path: "agenda.json")
    try editJSON(file) { object in
      for added in ["check", "checks", "records"] { object[added] = nil }
      object["version"] = 1
      if ["entries", "columns"].contains(key) {
        var introduction = object["introduction"] as? [String: Any] ?? [:]
        introduction[key] = value
        object["introduction"] = introduction
      } else {
        object[key] = value
      }
    }
    trial.expectRefusal(naming: "agenda.json", key)
  }

  @Test(arguments: ["next", "cohort", "uploads", "entries", "sum"])
  func aPlainSumThatCannotBeIsRefused(_ key: String) throws {
    let trial = try finished("plain")
    let file = try trial.content.folder.appending(path: "sums.json")
    try editJSON(file) { object in
      (object["check"], object["version"]) = (nil, nil)
      var task: [String: Any] = [
        "sum": 3, "purpose": "update 0", "model": "", "format": "", "entries": 3, "cohort": [0, 1], "uploads": [0],
        "isClosed": false,
      ]
      switch key {
      case "next": object["next"] = UInt64.max
      case "cohort": task["cohort"] = [0, 7]
      case "uploads": task["uploads"] = [2]
      case "entries": task["entries"] = -1
      default: task["sum"] = 99
      }
      object["task"] = task
    }
    trial.expectRefusal(naming: "sums.json", key)
  }

  /// What a release before has left is gone on with, to the same bits, and has its hashes from then on.
  @Test(arguments: [("secure", 40), ("plain", 30)])
  func aStoreOfTheVersionBeforeGoesOn(_ aggregation: String, _ number: Int) throws {
    let trial = try FederationTrial(
      TestFederation(strategy: "{name: fedadam, weighting: rows}", aggregation: aggregation, standardize: "pooled"))
    let messages = MessageCount(reaching: number)
    trial.network.setFault { messages.pass($0) }
    trial.startSites(pieceEntries: 5)
    #expect(eventually { messages.isReached })
    trial.aggregator.kill()
    let folder = try trial.content.folder
    try editJSON(folder.appending(path: "agenda.json")) { object in
      for added in ["check", "checks", "records"] { object[added] = nil }
      object["version"] = 1
    }
    if aggregation == "plain" {
      try editJSON(folder.appending(path: "sums.json")) { ($0["check"], $0["version"]) = (nil, nil) }
    } else {
      let file = folder.appending(path: "sums.state")
      try Data(contentsOf: file).dropLast(16).write(to: file)
    }
    try trial.restart()
    trial.expectNoTrace(try trial.expectEnd())
    let agenda = try JSONDecoder().decode(
      Agenda.self, from: Data(contentsOf: folder.appending(path: "agenda.json")))
    #expect(agenda.version == 2 && agenda.records != nil)
    #expect(Set(agenda.checks?.keys.map(\.self) ?? []) == ["means.f64", "deviations.f64", "memory-2.f64"])
  }

  /// Found where it is read: the aggregator ends, and no site was sent a number of it.
  @Test func damageUnderARunningAggregatorEndsIt() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    let first = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try first.open(trial.federation)
    try first.first { if case .role(.startWanted) = $0 { () } else { nil } }
    let start = trial.federation.start
    try first.send(.start(offset: 0, entries: .init(start, shape: [start.count])))
    try first.first { if case .role(.startWanted(start.count)) = $0 { () } else { nil } }
    try first.send(.fetch(rounds: 0, offset: 0))
    try first.first { if case .role(.model) = $0 { () } else { nil } }
    let file = try trial.content.folder.appending(path: "model-0.f32")
    var bytes = try Data(contentsOf: file)
    bytes[7] ^= 4
    try bytes.write(to: file)
    try first.send(.fetch(rounds: 0, offset: 0))
    try first.first { answer in
      if case .role(.model) = answer { Issue.record("a damaged piece was sent") }
      return if case .conversation(.goodbye) = answer { () } else { nil }
    }
    #expect(trial.aggregator.waitForEnd(60))
    let failure = trial.aggregator.failure as? AggregatorError
    #expect(failure == .damaged(path: file.path, AggregatorError.otherContent), "\(String(describing: failure))")
  }

  /// The starting model on its way, between two of its pieces: nothing is made of it, and the next aggregator asks for it from the beginning.
  @Test(arguments: ["changed", "cut", "removed"]) func aStartingModelThatTheDiskHasSpoiltIsNamed(_ how: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    let first = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try first.open(trial.federation)
    try first.first { if case .role(.startWanted(0)) = $0 { () } else { nil } }
    let start = trial.federation.start
    try first.send(.start(offset: 0, entries: .init(Array(start[..<5]), shape: [5])))
    try first.first { if case .role(.startWanted(5)) = $0 { () } else { nil } }
    let file = try trial.content.folder.appending(path: "start.f32")
    var bytes = try Data(contentsOf: file)
    #expect(bytes.count == 20)
    bytes[7] ^= 4
    switch how {
    case "changed": try bytes.write(to: file)
    case "cut": try bytes.prefix(12).write(to: file)
    default: try FileManager.default.removeItem(at: file)
    }
    try first.send(.start(offset: 5, entries: .init(Array(start[5...]), shape: [start.count - 5])))
    try first.first { if case .conversation(.goodbye) = $0 { () } else { nil } }
    #expect(trial.aggregator.waitForEnd(60))
    let failure = trial.aggregator.failure as? AggregatorError
    #expect(failure == .damagedStart(path: file.path) && failure?.kind.exitCode == 3, "\(String(describing: failure))")
    #expect(!FileManager.default.fileExists(atPath: try trial.content.folder.appending(path: "model-0.f32").path))
    try trial.restart()
    #expect(!FileManager.default.fileExists(atPath: file.path))
    trial.startSites()
    trial.expectNoTrace(try trial.expectEnd())
  }

  @Test func aFinishedStoreSaysSo() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites(dying: [2: [.init(moment: .result, away: nil)]])
    #expect(
      eventually { trial.aggregator.events.count { if case .fetched = $0 { true } else { false } } == 2 })
    trial.aggregator.kill()
    let again = try TestAggregator(trial.federation, store: trial.store, on: trial.network)
    #expect(again.finished?.missing == ["site2"] && again.finished?.result.rounds == 1)
    again.shutDown()
    for site in trial.sites { site.stop() }
  }

  @Test func aStatusThatCannotBeIsRefused() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites()
    try trial.expectEnd()
    try StoreLease(store: trial.store, program: "aggregator", software: "aggregator 1", onLoss: { _ in }).release()
    let file = try trial.content.folder.appending(path: "sites.json")
    #expect(try FederationSurvey(store: trial.store).report().federation?.sumsDone == 2)
    for (key, value) in [("sums_done", -3), ("sums", -1), ("round", -1), ("rounds", 0), ("sums_done", 9)] {
      let good = try Data(contentsOf: file)
      try editJSON(file) { $0[key] = value }
      #expect(throws: AggregatorError.damagedStatus(path: file.path), "\(key)") {
        try FederationSurvey(store: trial.store).report()
      }
      try good.write(to: file)
    }
  }

  /// A site is told that the store cannot be used, and not where it is.
  @Test func aSiteIsNotToldPathsOfTheAggregator() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    defer { trial.aggregator.shutDown() }
    // A file where the federation's folder is to be made.
    let jobs = trial.store.appending(path: "jobs")
    try FileManager.default.createDirectory(at: jobs, withIntermediateDirectories: true)
    try Data().write(to: jobs.appending(path: trial.federation.plan.job.description))
    let site = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try site.open(trial.federation)
    let reason = try site.refusal()
    #expect(reason.contains("it cannot use its store"), "\(reason)")
    #expect(!reason.contains(trial.store.path) && !reason.contains("/"), "\(reason)")
    // Its own log has the path.
    #expect(eventually { trial.aggregator.refusals.contains { $0.contains(jobs.path) } })
  }
}
