import AggregatorRole
import Federation
import Foundation
import Foundations
import Numerics
import Protocol
import SecureSums
import Synchronization
import Testing
import TestSupport

/// Sites that die.
@Suite(.waiting, .timeLimit(.minutes(5))) struct DeathTests {
  /// Set-up, upload, survivors, shares, of each sum; at its n-th message a site has read it, or has answered it as well.
  @Test(arguments: 0..<10, [false, true])
  func aSiteThatIsBackInTimeLeavesNoTrace(_ number: Int, _ hasAnswered: Bool) throws {
    let trial = try FederationTrial(TestFederation())
    trial.startSites(dying: [1: [.init(moment: hasAnswered ? .answered(number) : .received(number))]])
    let content = try trial.expectEnd()
    trial.expectNoTrace(content)
    #expect(trial.sites[1].outcome.withLock { $0.deaths } == 1)
  }

  @Test(
    arguments: [
      ScriptedSite.Moment.halfway("update 1"), .unfinished("update 0"), .halfway("evaluation 2"), .result,
    ], ["secure", "plain"])
  func aSiteThatDiesWithAnUploadUnderWayLeavesNoTrace(_ moment: ScriptedSite.Moment, _ aggregation: String) throws {
    let trial = try FederationTrial(TestFederation(aggregation: aggregation))
    trial.startSites(dying: [2: [.init(moment: moment)]], pieceEntries: 3)
    let content = try trial.expectEnd()
    trial.expectNoTrace(content)
    #expect(trial.sites[2].outcome.withLock { $0.deaths } == 1)
  }

  /// No entry is sent twice but those of the piece that was under way.
  @Test(arguments: ["secure", "plain"])
  func anUploadThatIsCutGoesOnWhereItEnded(_ aggregation: String) throws {
    let trial = try FederationTrial(TestFederation(entries: 20_000, rounds: 1, aggregation: aggregation))
    trial.startSites(
      dying: [0: [.init(moment: .halfway("update 0")), .init(moment: .unfinished("update 0"))]], pieceEntries: 1000)
    try trial.expectEnd()
    let wanted = try trial.federation.plan.purposes.map { try trial.federation.format(of: $0).count }.reduce(0, +)
    let outcome = trial.sites[0].outcome.withLock { $0 }
    #expect(outcome.deaths == 2)
    #expect(outcome.sentEntries == wanted)
  }

  /// One of four that bears one drop-out: the sum goes on with three, and so does every later one.
  @Test(arguments: [ScriptedSite.Moment.halfway("update 1"), .unfinished("update 0")], ["secure", "plain"])
  func aSiteThatStaysAwayIsLeftOut(_ moment: ScriptedSite.Moment, _ aggregation: String) throws {
    let trial = try FederationTrial(
      TestFederation(sites: 4, rounds: 3, minimum: 3, patience: 0.5, aggregation: aggregation))
    trial.startSites(dying: [3: [.init(moment: moment, away: nil)]], pieceEntries: 3)
    let isRecorded = eventually { (try? trial.content.records.count) == 4 }
    #expect(isRecorded)
    let content = try trial.content
    try trial.expectReplay(content)
    let last = moment == .unfinished("update 0") ? 0 : 1
    for (round, record) in content.records.enumerated() {
      #expect(record.survivors == (round < last ? trial.allNames : Array(trial.allNames.prefix(3))), "\(round)")
    }
    // It does not end while one has not fetched the result, and says who.
    let isNamed = eventually { trial.aggregator.events.contains { $0.waitsFor("site3") } }
    #expect(isNamed)
    let late = ScriptedSite(trial.federation, 3, on: trial.network)
    #expect(trial.aggregator.waitForEnd())
    #expect(late.wait())
    #expect(late.outcome.withLock { $0.records } == content.records)
  }

  /// Left out of one round, it takes part in a later one.
  @Test(arguments: ["secure", "plain"])
  func aSiteThatWasLeftOutComesBackInALaterRound(_ aggregation: String) throws {
    let trial = try FederationTrial(
      TestFederation(sites: 4, rounds: 3, minimum: 3, patience: 0.5, aggregation: aggregation))
    // The others wait with their last upload until it is back.
    let isBack = Flag()
    let sites = (0..<4).map { site in
      ScriptedSite(
        trial.federation, site, on: trial.network,
        dying: site == 3 ? [.init(moment: .halfway("update 1"), away: 3.5)] : [], pieceEntries: 3,
        beforeUpload: { purpose in
          if purpose == "update 2", site == 0 { _ = eventually { isBack.isRaised } }
        })
    }
    let isLeftOut = eventually { (try? trial.content.records.count) == 2 }
    #expect(isLeftOut)
    let returns = eventually { trial.aggregator.events.count { $0.joins("site3") } == 2 }
    #expect(returns)
    isBack.raise()
    #expect(trial.aggregator.waitForEnd())
    for site in sites { #expect(site.wait()) }
    let content = try trial.content
    try trial.expectReplay(content)
    #expect(content.records[1].survivors == ["site0", "site1", "site2"])
    #expect(content.records.last?.survivors == trial.allNames)
  }

  @Test(arguments: ["secure", "plain"])
  func tooFewSitesAreWaitedForByName(_ aggregation: String) throws {
    let trial = try FederationTrial(TestFederation(minimum: 3, patience: 0.3, aggregation: aggregation))
    trial.startSites(but: [1])
    let isNamed = eventually { trial.aggregator.events.contains { $0.waitsFor("site1") } }
    #expect(isNamed)
    // Once a minute, however often it looks.
    Thread.sleep(forTimeInterval: 0.5)
    #expect(trial.aggregator.events.count { $0.waitsFor("site1") } == 1)
    let late = ScriptedSite(trial.federation, 1, on: trial.network)
    trial.expectNoTrace(try trial.expectEnd())
    #expect(late.wait())
  }

  /// It kept the request, and sends what nobody waits for any more.
  @Test func aLateUploadIsNotAdded() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1, minimum: 2, patience: 0.5, aggregation: "plain"))
    trial.startSites(but: [2])
    let areHere = eventually { trial.aggregator.events.contains { $0.joins("site0") } }
    #expect(areHere)
    let first = SiteConnection(trial.network, key: trial.federation.siteKeys[2], job: trial.federation.plan.job)
    try first.open(trial.federation)
    let request = try first.first { if case .role(.plainRequest(let request)) = $0 { request } else { nil } }
    #expect(request.purpose == "update 0")
    first.channel.close()
    let isGone = eventually { (try? trial.content.records.count) ?? 0 >= 1 }
    #expect(isGone)
    let second = SiteConnection(trial.network, key: trial.federation.siteKeys[2], job: trial.federation.plan.job)
    try second.open(trial.federation)
    let vector = try trial.federation.vector(of: 2, for: .update(round: 0), model: trial.federation.start)
    try second.send(
      .upload(
        sum: request.sum, attempt: request.attempt, offset: 0,
        entries: .init(vector.map(Int64.init(bitPattern:)), shape: [vector.count])))
    let reason = try second.first {
      if case .role(.uploadUnwanted(request.sum, _, let reason)) = $0 { reason } else { nil }
    }
    #expect(reason.contains("another sum"))
    second.channel.close()
    let late = ScriptedSite(trial.federation, 2, on: trial.network)
    let content = try trial.expectEnd()
    #expect(late.wait())
    #expect(content.records[0].survivors == ["site0", "site1"])
  }
}

/// Sites that are there and do nothing.
@Suite(.waiting, .timeLimit(.minutes(3))) struct SilentSiteTests {
  @Test func theNextSiteIsAskedForAStartingModelThatDoesNotCome() throws {
    let trial = try FederationTrial(TestFederation(sites: 4, minimum: 3, patience: 0.5))
    let silent = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try silent.open(trial.federation)
    try silent.first { if case .role(.startWanted) = $0 { () } else { nil } }
    trial.startSites(but: [0])
    // It says that it is alive, and is left out of the set-up as well.
    let isMade = try eventually {
      _ = try silent.next(within: 0.1)
      return trial.aggregator.events.contains { if case .modelMade(0, _, "site1") = $0 { true } else { false } }
    }
    #expect(isMade)
    let isDone = try eventually {
      _ = try silent.next(within: 0.1)
      return try trial.content.records.count == 3
    }
    #expect(isDone)
    let content = try trial.content
    try trial.expectReplay(content)
    #expect(content.records.allSatisfy { $0.survivors == ["site1", "site2", "site3"] })
    silent.channel.close()
    let late = ScriptedSite(trial.federation, 0, on: trial.network)
    try trial.expectEnd()
    #expect(late.wait())
  }
}

extension AggregatorEvent {
  func waitsFor(_ site: String) -> Bool {
    if case .waiting(let reason) = self { reason.contains("waiting for \(site)") } else { false }
  }

  func joins(_ site: String) -> Bool {
    if case .siteJoined(site) = self { true } else { false }
  }
}
