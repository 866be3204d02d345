import AggregatorRole
import Federation
import Foundation
import Foundations
import Protocol
import SecureSums
import Synchronization
import Testing
import TestSupport

/// Aggregators that are killed.
@Suite(.waiting, .timeLimit(.minutes(5))) struct RestartTests {
  /// Without masks there are fewer messages.
  static let moments =
    stride(from: 5, to: 100, by: 5).map { ($0, "secure") } + stride(from: 5, to: 75, by: 5).map { ($0, "plain") }

  /// At the n-th message that reaches it, for every stage of every sum.
  @Test(arguments: moments)
  func anAggregatorThatIsKilledGoesOnWithTheSameBits(_ number: Int, _ aggregation: String) throws {
    let trial = try FederationTrial(
      TestFederation(strategy: "{name: fedadam, weighting: rows}", aggregation: aggregation))
    let messages = Mutex(0)
    let moment = Flag()
    trial.network.setFault { transit in
      if transit.direction == .toServer, !transit.isPing {
        let count = messages.withLock { count in
          count += 1
          return count
        }
        if count == number { moment.raise() }
      }
      return [transit.message]
    }
    trial.startSites(pieceEntries: 5)
    let isReached = eventually { moment.isRaised || trial.aggregator.waitForEnd(0) }
    #expect(isReached)
    #expect(moment.isRaised, "a federation has so many messages")
    try trial.restart()
    trial.expectNoTrace(try trial.expectEnd())
  }

  /// A sum is stored in five writes; a kill between any two of them leaves the first of them done.
  @Test(arguments: 0...5, ["secure", "plain"])
  func aKillBetweenTwoWritesOfARoundLeavesNoTrace(_ writes: Int, _ aggregation: String) throws {
    let freezer = Freezer()
    let trial = try FederationTrial(
      TestFederation(strategy: "{name: fedavgm, momentum: 0.9}", aggregation: aggregation)
    ) { freezer.copyStore() }
    freezer.watch(trial.store, in: trial.folder.url("before"))
    trial.network.setFault { freezer.pass($0) }
    trial.startSites()
    let isFrozen = eventually { freezer.isFrozen }
    #expect(isFrozen)
    trial.aggregator.kill()
    // What was there before the piece of work that completed the round, and as many of its writes as were done.
    let job = "jobs/\(trial.federation.plan.job)"
    let (old, new) = (trial.folder.url("before").appending(path: job), trial.store.appending(path: job))
    let state = aggregation == "secure" ? "sums.state" : "sums.json"
    for name in ["model-1.f32", "memory-1.f64", "rounds.jsonl", "agenda.json", state].prefix(writes) {
      let target = old.appending(path: name)
      try? FileManager.default.removeItem(at: target)
      try FileManager.default.copyItem(at: new.appending(path: name), to: target)
    }
    trial.network.setFault(nil)
    trial.network.disconnect()
    try trial.restart(on: trial.folder.url("before"))
    trial.expectNoTrace(try trial.expectEnd())
  }

  /// Killed when all is written down, and before it could say so to the last site.
  @Test func aSiteThatMissedTheLastWordHearsItFromTheNextLife() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites()
    let content = try trial.expectEnd()
    try trial.restart()
    let connection = SiteConnection(trial.network, key: trial.federation.siteKeys[1], job: trial.federation.plan.job)
    var introduction = trial.federation.introduction
    introduction.records = content.records.count
    try connection.open(trial.federation, introduction)
    try connection.first { if case .role(.result) = $0 { () } else { nil } }
    try connection.send(.fetched)
    try connection.first { if case .conversation(.finished) = $0 { () } else { nil } }
    #expect(trial.aggregator.waitForEnd(60), "and ends by itself")
  }

  @Test func anAggregatorThatIsStoppedTellsItsSitesAndGoesOn() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    let connection = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try connection.open(trial.federation)
    try connection.first { if case .role(.startWanted) = $0 { () } else { nil } }
    trial.aggregator.stopServing()
    try connection.first { if case .conversation(.goodbye) = $0 { () } else { nil } }
    connection.channel.close()
    try trial.restart()
    trial.startSites()
    try trial.expectEnd()
  }

  /// What cannot be written is told, and tried again; the sites whose requests it cost ask again.
  @Test func aStoreThatCannotBeWrittenForAWhileLeavesNoTrace() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    let connection = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try connection.open(trial.federation)
    try connection.first { if case .role(.startWanted) = $0 { () } else { nil } }
    connection.channel.close()
    // A directory is where the starting model is to go.
    let folder = try trial.content.folder
    let place = folder.appending(path: "model-0.f32")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: false)
    try Data().write(to: place.appending(path: "x"))
    trial.startSites()
    let isTold = eventually { trial.aggregator.events.contains { if case .trouble = $0 { true } else { false } } }
    #expect(isTold)
    try FileManager.default.removeItem(at: place)
    trial.expectNoTrace(try trial.expectEnd())
    #expect(trial.aggregator.refusals.isEmpty)
  }

  /// Nothing of the federation can be opened when the first site comes: it greets again as soon as that can be.
  @Test func aSiteThatCameWhileTheStoreCouldNotBeReadIsToldToGreetAgain() throws {
    let place = Mutex<URL?>(nil)
    let trial = try FederationTrial(TestFederation(rounds: 1)) {
      // A directory is where the records are to go.
      guard let place = place.withLock({ $0 }) else { return }
      try? FileManager.default.createDirectory(at: place, withIntermediateDirectories: false)
    }
    let folder = trial.store.appending(path: "jobs/\(trial.federation.plan.job)")
    place.withLock { $0 = folder.appending(path: "rounds.jsonl") }
    let connection = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try connection.open(trial.federation)
    let isTold = eventually { trial.aggregator.events.contains { if case .trouble = $0 { true } else { false } } }
    #expect(isTold)
    let obstacle = try #require(place.withLock { $0 })
    place.withLock { $0 = nil }
    Thread.sleep(forTimeInterval: 0.1)
    try FileManager.default.removeItem(at: obstacle)
    try connection.first { if case .conversation(.goodbye) = $0 { () } else { nil } }
    connection.channel.close()
    let troubles = trial.aggregator.events.count { if case .trouble = $0 { true } else { false } }
    #expect(troubles == 1, "said once, not with every tick")
    trial.startSites()
    trial.expectNoTrace(try trial.expectEnd())
  }

  @Test func aFederationThatIsOverEndsAtOnce() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites()
    try trial.expectEnd()
    try trial.restart()
    #expect(trial.aggregator.waitForEnd(60))
  }

  /// A disk is not trusted to have kept what was not synced: the header says what the upload must be.
  @Test func anUploadThatTheDiskHasSpoiltIsAskedForOnceMore() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1))
    trial.startSites(dying: [0: [.init(moment: .halfway("update 0"), away: 1)]], pieceEntries: 5)
    let isCut = eventually { trial.sites[0].outcome.withLock { $0.deaths } == 1 }
    #expect(isCut)
    let folder = try trial.content.folder
    let name = try FileManager.default.contentsOfDirectory(atPath: folder.path).first {
      $0.hasPrefix("upload-") && $0.hasSuffix("-0.i64")
    }
    let path = folder.appending(path: try #require(name))
    var bytes = try Data(contentsOf: path)
    bytes[0] ^= 1
    try bytes.write(to: path)
    trial.expectNoTrace(try trial.expectEnd())
    let isAskedAgain = trial.aggregator.events.contains {
      if case .uploadDropped("site0", let reason) = $0 {
        reason.contains("altered") && reason.contains("once more")
      } else {
        false
      }
    }
    #expect(isAskedAgain)
  }
}

/// Copies a store before each piece of work, and stops all traffic when the first record of a sum is about to be sent: nobody has heard then
/// of what the last piece of work did.
private final class Freezer: Sendable {
  private struct State {
    var store: URL?
    var copy: URL?
    var isFrozen = false
  }

  private let state = Mutex(State())

  var isFrozen: Bool { state.withLock(\.isFrozen) }

  func watch(_ store: URL, in copy: URL) {
    state.withLock { ($0.store, $0.copy) = (store, copy) }
  }

  func copyStore() {
    state.withLock { state in
      guard !state.isFrozen, let store = state.store, let copy = state.copy else { return }
      try? FileManager.default.removeItem(at: copy)
      try? FileManager.default.copyItem(at: store, to: copy)
    }
  }

  func pass(_ transit: Transit) -> [Message] {
    state.withLock { state in
      if transit.direction == .toOwner, transit.kind == Transit.recorded { state.isFrozen = true }
      return state.isFrozen ? [] : [transit.message]
    }
  }
}

extension Transit {
  /// The kind of `AggregatorAnswer.recorded`.
  static let recorded: UInt8 = 148

  /// Behind the magic and the version.
  var kind: UInt8 { message[0][message[0].startIndex + 6] }

  /// Of a sign of life.
  var isPing: Bool { kind == 20 }
}
