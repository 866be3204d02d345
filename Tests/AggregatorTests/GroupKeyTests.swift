import AggregatorRole
import Federation
import Foundation
import Foundations
import Numerics
import Protocol
import Testing
import TestSupport

/// Sites that have not all the same group key: found before a starting model is taken, and told to whom it concerns.
@Suite(.waiting, .timeLimit(.minutes(3))) struct GroupKeyTests {
  private static let right = String(repeating: "0a", count: 32)
  private static let wrong = String(repeating: "b1", count: 32)

  private func join(
    _ trial: FederationTrial, _ site: Int, _ check: String?, instance: String? = nil
  ) throws -> SiteConnection {
    let connection = SiteConnection(
      trial.network, key: trial.federation.siteKeys[site], job: trial.federation.plan.job)
    var introduction = trial.federation.introduction
    introduction.groupCheck = check
    introduction.instance = instance
    try connection.open(trial.federation, introduction)
    return connection
  }

  private func expectStart(_ connection: SiteConnection) throws {
    try connection.first { if case .role(.startWanted) = $0 { () } else { nil } }
  }

  private func obstacle(_ connection: SiteConnection) throws -> String {
    try connection.first { if case .role(.obstacle(let reason)) = $0 { reason } else { nil } }
  }

  @Test func aSiteWithAnotherKeyThatComesFirstIsFoundBeforeItsModelIsTaken() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1))
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, Self.wrong)
    let second = try join(trial, 1, Self.right)
    // Nobody knows yet whose is wrong: both are told, and the operator.
    for connection in [first, second] {
      let reason = try obstacle(connection)
      #expect(reason.contains("different group keys: site0 | site1"), "\(reason)")
      #expect(reason.contains("compare the SHA-256 of group.key"), "\(reason)")
    }
    #expect(
      try eventually {
        let shown = try String(contentsOf: trial.content.folder.appending(path: "sites.json"), encoding: .utf8)
        return shown.contains("site0 | site1")
      })
    let third = try join(trial, 2, Self.right)
    let refusal = try first.refusal()
    #expect(refusal.contains("site site0 has another group key than site1, site2"), "\(refusal)")
    #expect(!refusal.contains("begin anew"), "\(refusal)")
    try expectStart(second)
    // With the right key it is welcome.
    first.channel.close()
    let again = try join(trial, 0, Self.right)
    #expect(
      eventually { trial.aggregator.events.count { if case .siteJoined("site0") = $0 { true } else { false } } == 2 })
    again.channel.close()
    third.channel.close()
  }

  @Test func oneSiteAloneIsNotAskedForItsModelUntilAsManyAsASumNeedsAreOfOneMind() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1, minimum: 3))
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, Self.right)
    let second = try join(trial, 1, Self.right)
    #expect(eventually { trial.aggregator.events.count { if case .siteJoined = $0 { true } else { false } } == 2 })
    let third = try join(trial, 2, Self.right)
    // Whatever was sent before, the start was not asked for.
    #expect(!(try trial.content.folder.appending(path: "start.f32").checkResourceIsReachableOrFalse()))
    try expectStart(first)
    second.channel.close()
    third.channel.close()
  }

  @Test func afterTheStartAnotherKeyIsRefusedWithTheWayOut() throws {
    let trial = try FederationTrial(TestFederation(sites: 4, rounds: 1, minimum: 2))
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, Self.wrong)
    let second = try join(trial, 1, Self.wrong)
    try expectStart(first)
    let start = trial.federation.start
    try first.send(.start(offset: 0, entries: .init(start, shape: [start.count])))
    try first.first { if case .role(.startWanted(start.count)) = $0 { () } else { nil } }
    let third = try join(trial, 2, Self.right)
    let refusal = try third.refusal()
    #expect(refusal.contains("site site2 has another group key than site0, site1"), "\(refusal)")
    #expect(refusal.contains("begin anew, with a new --store"), "\(refusal)")
    // It stays so after the aggregator was started again.
    try trial.restart()
    let fourth = try join(trial, 3, Self.right)
    #expect(try fourth.refusal().contains("site site3 has another group key than site0, site1"))
    second.channel.close()
  }

  /// Sites of a release before say nothing of their key.
  @Test func sitesThatSayNothingOfTheirKeyAreServedAsBefore() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1))
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, nil)
    try expectStart(first)
    let second = try join(trial, 1, Self.right)
    try expectStart(second)
    first.channel.close()
  }

  @Test func aCheckThatIsNoneIsRefused() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    #expect(try join(trial, 0, "abc").refusal().contains("digests that are none"))
    #expect(try join(trial, 0, nil, instance: "\u{1B}[2J").refusal().contains("digests that are none"))
  }

  // MARK: - Two programs under one key

  private static let instances = ["01", "02"].map { String(repeating: $0, count: 16) }

  @Test func aSecondProgramUnderAKeyThatIsAtWorkIsRefusedAndTheFirstStays() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, nil, instance: Self.instances[0])
    try expectStart(first)
    let second = try join(trial, 0, nil, instance: Self.instances[1])
    // The first goes on saying that it is there.
    var refusal: String?
    let end = ContinuousClock.now + .seconds(10)
    while refusal == nil, .now < end {
      if case .conversation(.refused(_, let reason))? = try first.next(within: 0.2) {
        Issue.record("the first was told: \(reason)")
      }
      if case .conversation(.refused(_, let reason))? = try second.next(within: 0.2) { refusal = reason }
    }
    #expect(
      refusal?.contains("another program is at work under the key of site site0") == true, "\(refusal ?? "nothing")")
    try first.send(.fetch(rounds: 0, offset: 0))
    #expect(try first.refusal().contains("no such piece"))
  }

  /// It is connected and says nothing, as one behind a broken line.
  @Test func aFirstProgramThatSaysNothingGivesWayAndIsTold() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, nil, instance: Self.instances[0])
    try expectStart(first)
    let second = try join(trial, 0, nil, instance: Self.instances[1])
    try expectStart(second)
    #expect(try first.refusal().contains("see that one program alone runs under this key"))
  }

  @Test func aProcessThatComesBackAndOneWhoseConnectionEndedAreLetInAtOnce() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try join(trial, 0, nil, instance: Self.instances[0])
    try expectStart(first)
    let began = ContinuousClock.now
    let again = try join(trial, 0, nil, instance: Self.instances[0])
    try expectStart(again)
    again.channel.close()
    let second = try join(trial, 0, nil, instance: Self.instances[1])
    try expectStart(second)
    // Below the silence of a second and a half after which one counts as gone.
    #expect(began.duration(to: .now) < .seconds(1.5))
    first.channel.close()
  }
}

extension URL {
  fileprivate func checkResourceIsReachableOrFalse() -> Bool { FileManager.default.fileExists(atPath: path) }
}
