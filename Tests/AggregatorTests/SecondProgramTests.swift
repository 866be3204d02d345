import AggregatorRole
import Federation
import Foundation
import Foundations
import Protocol
import Synchronization
import Testing
import TestSupport

/// Two programs under one site's key: the one at work stays.
@Suite(.waiting, .timeLimit(.minutes(3))) struct SecondProgramTests {
  private static let instances = ["01", "02", "03"].map { String(repeating: $0, count: 16) }
  private static let refusal = "another program is at work under the key of site site0"

  /// What a connection is told within a time in which others say nothing: a start that is asked for, unless it was asked for before, or a refusal.
  private func word(
    to connection: SiteConnection, within seconds: Double, isAsked: Bool = false
  ) throws -> String? {
    let end = ContinuousClock.now + .seconds(seconds)
    while .now < end {
      switch try connection.next(within: 0.2) {
      case .role(.startWanted)? where !isAsked: return "start wanted"
      case .conversation(.refused(_, let reason))?: return reason
      default: break
      }
    }
    return nil
  }

  @Test func aSecondProgramUnderAKeyThatIsAtWorkIsRefusedAndTheFirstStays() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    // The first goes on saying that it is there.
    var refusal: String?
    let end = ContinuousClock.now + .seconds(120)
    while refusal == nil, .now < end {
      if case .conversation(.refused(_, let reason))? = try first.next(within: 0.2) {
        Issue.record("the first was told: \(reason)")
      }
      if case .conversation(.refused(_, let reason))? = try second.next(within: 0.2) { refusal = reason }
    }
    #expect(refusal?.contains(Self.refusal) == true, "\(refusal ?? "nothing")")
    try first.send(.fetch(rounds: 0, offset: 0))
    #expect(try first.refusal().contains("no such piece"))
  }

  /// A step of training may last as long as the charter's patience, and then longer than owners of other servers are waited for.
  @Test func aFirstProgramAtALongStepKeepsItsPlace() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    // Twice the silence after which a trainer's owner counts as gone in these tests.
    #expect(try word(to: second, within: 3) == nil)
    try first.send(.fetch(rounds: 0, offset: 0))
    #expect(try first.refusal().contains("no such piece"))
    #expect(try word(to: second, within: 10)?.contains(Self.refusal) == true)
  }

  /// It is connected and says nothing for longer than the charter's patience, as one behind a broken line.
  @Test func aFirstProgramThatSaysNothingGivesWayAndIsToldWhenItIsBack() throws {
    let trial = try FederationTrial(TestFederation(patience: 0.5))
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    try second.expectStart()
    // It is to greet again, and is then the one that comes second.
    try first.first { if case .conversation(.goodbye) = $0 { () } else { nil } }
    let again = try trial.join(0, nil, instance: Self.instances[0])
    #expect(try word(to: second, within: 1, isAsked: true) == nil)
    #expect(try word(to: again, within: 10)?.contains(Self.refusal) == true)
  }

  @Test func aProcessThatComesBackAndOneWhoseConnectionEndedAreLetInAtOnce() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let began = ContinuousClock.now
    let again = try trial.join(0, nil, instance: Self.instances[0])
    try again.expectStart()
    again.channel.close()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    try second.expectStart()
    // Below the silence of a second and a half after which one counts as gone.
    #expect(began.duration(to: .now) < .seconds(1.5))
    first.channel.close()
  }

  /// Its end shows while the second waits, by what is sent to it.
  @Test func aFirstProgramThatEndsWhileTheSecondWaitsGivesWay() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    #expect(try word(to: second, within: 0.5) == nil)
    first.channel.close()
    #expect(try word(to: second, within: 10) == "start wanted")
  }

  /// Whoever waits when another one comes, or when the first is back on a new connection, is told.
  @Test func aProgramThatWaitsIsAnsweredWhenAnotherComes() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    let third = try trial.join(0, nil, instance: Self.instances[2])
    #expect(try word(to: second, within: 5)?.contains(Self.refusal) == true)
    let again = try trial.join(0, nil, instance: Self.instances[0])
    #expect(try word(to: third, within: 5)?.contains(Self.refusal) == true)
    try again.expectStart()
  }

  /// While the server stands still nobody is heard of; that is no word of the first.
  @Test func aPauseOfTheServerIsNoSignOfLife() throws {
    let trial = try FederationTrial(TestFederation())
    defer { trial.aggregator.shutDown() }
    let first = try trial.join(0, nil, instance: Self.instances[0])
    try first.expectStart()
    let second = try trial.join(0, nil, instance: Self.instances[1])
    #expect(try word(to: second, within: 0.3) == nil)
    let isDue = Mutex(true)
    trial.network.setFault { transit in
      // In the server's thread, which sends it.
      let isFirst = isDue.withLock { isDue in
        defer { if transit.direction == .toOwner { isDue = false } }
        return isDue && transit.direction == .toOwner
      }
      if isFirst { Thread.sleep(forTimeInterval: 1.2) }
      return [transit.message]
    }
    #expect(try word(to: second, within: 3) == nil)
    #expect(!isDue.withLock { $0 }, "the server stood still")
    try first.send(.fetch(rounds: 0, offset: 0))
    #expect(try word(to: second, within: 10)?.contains(Self.refusal) == true)
  }
}
