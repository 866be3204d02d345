import AggregatorRole
import Federation
import Foundations
import Foundation
import Foundations
import Numerics
import Protocol
import Testing
import TestSupport

@testable import Service

/// What an aggregator turns away.
@Suite(.waiting, .timeLimit(.minutes(3))) struct RefusalTests {
  private func connection(_ trial: FederationTrial, _ site: Int = 0, job: JobID? = nil) -> SiteConnection {
    SiteConnection(trial.network, key: trial.federation.siteKeys[site], job: job ?? trial.federation.plan.job)
  }

  @Test func aSiteWithAnotherCharterIsRefusedByName() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let other = try TestFederation(rounds: 7).plan
    let site = connection(trial, job: other.job)
    try site.send(.hello(software: "test"))
    try site.send(.join(FederationJoin(charterDigest: other.digest)))
    let reason = try site.refusal()
    #expect(reason.contains("this aggregator serves the charter synthetic, yours is another; compare the files"))
    // Under the right federation's name it is no better.
    let again = connection(trial)
    try again.send(.join(FederationJoin(charterDigest: other.digest)))
    #expect(try again.refusal().contains("yours is another"))
  }

  @Test func aSiteWhoseModelIsAnotherIsRefusedByName() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = connection(trial)
    try first.open(trial.federation)
    try first.first { if case .role(.startWanted) = $0 { () } else { nil } }
    var cases: [(SiteIntroduction, String)] = []
    var introduction = trial.federation.introduction
    introduction.entries = 11
    cases.append((introduction, "its model has 11 trained numbers, the others' 10"))
    introduction = trial.federation.introduction
    introduction.columnNames = "other names"
    cases.append((introduction, "its columns have other names"))
    introduction = trial.federation.introduction
    introduction.model = "another checkpoint"
    cases.append((introduction, "its model, or the checkpoint that it starts from, is another"))
    for (introduction, reason) in cases {
      let second = connection(trial, 1)
      try second.open(trial.federation, introduction)
      let refusal = try second.refusal()
      #expect(refusal.contains("site site1 does not fit the others: \(reason)"))
      second.channel.close()
    }
    // It can still come as it should.
    let second = connection(trial, 1)
    try second.open(trial.federation)
    let isHere = eventually { trial.aggregator.events.contains { $0.joins("site1") } }
    #expect(isHere)
  }

  /// As long as nobody else has come, the first site may correct itself.
  @Test func theFirstSiteMayCorrectWhatItSaid() throws {
    let trial = try FederationTrial(TestFederation())
    var introduction = trial.federation.introduction
    introduction.entries = 4
    let wrong = connection(trial)
    try wrong.open(trial.federation, introduction)
    try wrong.first { if case .role(.startWanted) = $0 { () } else { nil } }
    wrong.channel.close()
    let first = ScriptedSite(trial.federation, 0, on: trial.network)
    let isCorrected = eventually { trial.aggregator.events.count { $0.joins("site0") } == 2 }
    #expect(isCorrected)
    trial.startSites(but: [0])
    trial.expectNoTrace(try trial.expectEnd())
    #expect(first.wait())
  }

  @Test func aKeyThatTheCharterDoesNotNameIsRefused() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let stranger = SiteConnection(trial.network, key: try .generate(), job: trial.federation.plan.job)
    try stranger.open(trial.federation)
    #expect(try stranger.refusal().contains("not listed"))
  }

  @Test func aSiteMayNotEndTheFederation() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let site = connection(trial, 1)
    try site.open(trial.federation)
    for request in [ConversationRequest.cancel, .release] {
      try site.send(request)
      #expect(try site.refusal().contains("site site1 may not end the federation synthetic"))
    }
    #expect(FileManager.default.fileExists(atPath: try trial.content.folder.path))
  }

  @Test func whoHasNotIntroducedItselfIsAskedToFirst() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let site = connection(trial)
    try site.send(.join(FederationJoin(charterDigest: trial.federation.plan.digest)))
    try site.send(.fetch(rounds: 0, offset: 0))
    #expect(try site.refusal().contains("introduces itself"))
  }

  @Test func aKeyAtTwoPlacesAtOnceLetsGoOfTheFirst() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = connection(trial)
    try first.open(trial.federation)
    try first.first { if case .role(.startWanted) = $0 { () } else { nil } }
    let second = connection(trial)
    try second.open(trial.federation)
    #expect(try first.refusal().contains("see that one program alone runs under this key"))
    try second.first { if case .role(.startWanted) = $0 { () } else { nil } }
    try first.send(.fetch(rounds: 0, offset: 0))
    #expect(try first.refusal().contains("introduces itself"))
  }

  @Test func aPieceOfNoModelIsRefused() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let site = connection(trial)
    try site.open(trial.federation)
    for (rounds, offset) in [(0, 0), (5, 0), (1 << 61, 1 << 61)] {
      try site.send(.fetch(rounds: rounds, offset: offset))
      #expect(try site.refusal().contains("no such piece"))
    }
    try site.send(.fetched)
    #expect(try site.refusal().contains("no result yet"))
  }

  @Test func aStartingModelThatIsNoneIsRefused() throws {
    let trial = try FederationTrial(TestFederation())
    let site = connection(trial)
    try site.open(trial.federation)
    try site.send(.start(offset: 0, entries: .init([.nan], shape: [1])))
    #expect(try site.refusal().contains("NaN"))
    try site.send(.start(offset: 0, entries: .init(zeros: [11])))
    #expect(try site.refusal().contains("more than 10 numbers"))
    site.channel.close()
    trial.startSites()
    try trial.expectEnd()
  }

  @Test func aStoreOfAnotherFederationIsRefused() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites()
    try trial.expectEnd()
    let other = try TestFederation(rounds: 2)
    #expect(throws: AggregatorError.otherFederation(store: trial.store.path)) {
      _ = try TestAggregator(other, store: trial.store, on: InProcessNetwork())
    }
  }

  @Test(arguments: ["agenda.json", "rounds.jsonl", "sums.state"])
  func aDamagedStoreIsRefused(_ name: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites()
    try trial.expectEnd()
    try Data("{".utf8).write(to: try trial.content.folder.appending(path: name))
    #expect(throws: (any Error).self) {
      _ = try TestAggregator(trial.federation, store: trial.store, on: InProcessNetwork())
    }
  }

  /// Neither kind of server takes the other's store.
  @Test func aTrainersStoreIsNotAnAggregators() throws {
    let folder = try TemporaryDirectory()
    let aggregator = folder.url("a")
    let trainer = folder.url("t")
    try StoreLease(store: aggregator, program: "aggregator", software: "aggregator 1", onLoss: { _ in }).release()
    try StoreLease(store: trainer, program: "trainer", software: "trainer 1", onLoss: { _ in }).release()
    #expect(throws: StoreError.otherVersion(path: aggregator.path, format: "aggregator 1", expected: "2")) {
      try StoreFormat.check(aggregator, of: "trainer")
    }
    #expect(throws: StoreError.otherVersion(path: trainer.path, format: "2", expected: "aggregator 1")) {
      try StoreFormat.check(trainer, of: "aggregator")
    }
    #expect(try StoreFormat.check(aggregator, of: "aggregator"))
  }
}
