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

  private func obstacle(_ connection: SiteConnection) throws -> String {
    try connection.first { if case .role(.obstacle(let reason)) = $0 { reason } else { nil } }
  }

  @Test func aSiteWithAnotherKeyThatComesFirstIsFoundBeforeItsModelIsTaken() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, Self.wrong)
    let second = try trial.join(1, Self.right)
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
    let third = try trial.join(2, Self.right)
    let refusal = try first.refusal()
    #expect(refusal.contains("site site0 has another group key than site1, site2"), "\(refusal)")
    #expect(!refusal.contains("begin anew") && refusal.contains("with --resume"), "\(refusal)")
    try second.expectStart()
    // With the right key it is welcome.
    first.channel.close()
    let again = try trial.join(0, Self.right)
    #expect(
      eventually { trial.aggregator.events.count { if case .siteJoined("site0") = $0 { true } else { false } } == 2 })
    again.channel.close()
    third.channel.close()
  }

  @Test func oneSiteAloneIsNotAskedForItsModelUntilAsManyAsASumNeedsAreOfOneMind() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1, minimum: 3))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, Self.right)
    let second = try trial.join(1, Self.right)
    #expect(eventually { trial.aggregator.events.count { if case .siteJoined = $0 { true } else { false } } == 2 })
    // Both are told nothing while the third is missing.
    for connection in [first, second] {
      while let answer = try connection.next(within: 0.3) {
        if case .role(.startWanted) = answer { Issue.record("the start was asked for") }
      }
    }
    let third = try trial.join(2, Self.right)
    try first.expectStart()
    second.channel.close()
    third.channel.close()
  }

  @Test func afterTheStartAnotherKeyIsRefusedWithTheWayOut() throws {
    let trial = try FederationTrial(TestFederation(sites: 4, rounds: 1, minimum: 2))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, Self.wrong)
    let second = try trial.join(1, Self.wrong)
    try first.expectStart()
    let start = trial.federation.start
    try first.send(.start(offset: 0, entries: .init(start, shape: [start.count])))
    try first.first { if case .role(.startWanted(start.count)) = $0 { () } else { nil } }
    let third = try trial.join(2, Self.right)
    let refusal = try third.refusal()
    #expect(refusal.contains("site site2 has another group key than site0, site1"), "\(refusal)")
    #expect(refusal.contains("begin anew, with a new --store"), "\(refusal)")
    // It stays so after the aggregator was started again.
    try trial.restart()
    let fourth = try trial.join(3, Self.right)
    #expect(try fourth.refusal().contains("site site3 has another group key than site0, site1"))
    second.channel.close()
  }

  /// Sites of a release before say nothing of their key.
  @Test func sitesThatSayNothingOfTheirKeyAreServedAsBefore() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil)
    try first.expectStart()
    let second = try trial.join(1, Self.right)
    try second.expectStart()
    first.channel.close()
  }

  /// It is asked, the others then come to a tie, and what it sends meanwhile is not taken: it is told so, and asked again when the tie is over.
  @Test func aSiteWhosePieceIsNotTakenIsAnsweredAndAskedAgain() throws {
    let trial = try FederationTrial(TestFederation(sites: 3, rounds: 1, minimum: 1, aggregation: "plain"))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, Self.right)
    try first.expectStart()
    let second = try trial.join(1, Self.wrong)
    _ = try obstacle(second)
    let start = trial.federation.start
    let half = Array(start[..<4])
    try first.send(.start(offset: 0, entries: .init(half, shape: [4])))
    try first.first { if case .role(.startWanted(start.count)) = $0 { () } else { nil } }
    second.channel.close()
    let again = try trial.join(1, Self.right)
    try first.first { if case .role(.startWanted(0)) = $0 { () } else { nil } }
    try first.send(.start(offset: 0, entries: .init(start, shape: [start.count])))
    #expect(eventually { trial.aggregator.events.contains { if case .modelMade = $0 { true } else { false } } })
    again.channel.close()
  }

  /// As a restart with another checkpoint, while nobody else is there.
  @Test func whatASiteSentOfAnotherModelIsNotGoneOnWith() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil)
    try first.expectStart()
    try first.send(.start(offset: 0, entries: .init([1, 2, 3, 4], shape: [4])))
    try first.first { if case .role(.startWanted(4)) = $0 { () } else { nil } }
    first.channel.close()
    var introduction = trial.federation.introduction
    introduction.model = "another model"
    let again = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try again.open(trial.federation, introduction)
    let held = try again.first { if case .role(.startWanted(let held)) = $0 { held } else { nil } }
    #expect(held == 0)
  }

  @Test func aCheckThatIsNoneIsRefused() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    #expect(try trial.join(0, "abc").refusal().contains("digests that are none"))
    #expect(try trial.join(0, nil, instance: "\u{1B}[2J").refusal().contains("digests that are none"))
  }
}
