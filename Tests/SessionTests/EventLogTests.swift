import Files
import Foundations
import Foundation
import Synchronization
import Testing
import TestSupport
import Protocol

@testable import Service
@testable import TrainerRole

/// The chain of the event log: what breaks it shows, what a crash leaves is put aside.
@Suite(.waiting, .timeLimit(.minutes(10))) struct EventLogTests {
  let directory: TemporaryDirectory
  var store: URL { directory.url("store") }
  var path: String { store.appending(path: "audit.log").path }
  let owner: OwnerKey

  init() throws {
    directory = try TemporaryDirectory()
    owner = try CurveKeyPair.generate().ownerKey
  }

  /// A log of `count` events.
  private func write(_ count: Int = 5) throws {
    let log = try EventLog(store: store, program: "trainer")
    for number in 0..<count {
      log.note(LoggedEvent(.submitted, owner: owner, job: .random(), reason: "event \(number)"))
    }
  }

  private func lines() throws -> [Substring] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
  }

  private func rewrite(_ change: (inout [Substring]) -> Void) throws {
    var lines = try lines()
    change(&lines)
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
  }

  private func appendRaw(_ text: String) throws {
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
  }

  private func events() throws -> [String] {
    try lines().map { try JSONDecoder().decode(EventLogLine.self, from: Data($0.utf8)).event }
  }

  @Test func aLogIsWholeAndTellsWhoDidWhat() throws {
    try write()
    let found = try EventLogVerification(path: path)
    #expect(found.lines == 5)
    #expect(found.firstBreak == nil)
    let line = try JSONDecoder().decode(EventLogLine.self, from: Data(try lines()[2].utf8))
    #expect(line.sequence == 3)
    #expect(line.owner == owner.z85)
    #expect(line.job?.count == 32)
    #expect(line.reason == "event 2")
    #expect(line.event == "submitted")
    #expect(line.previous == EventLogLine.hash(of: Data(try lines()[1].utf8)))
    #expect(abs(try #require(line.date).timeIntervalSinceNow) < 60)
  }

  /// SHA-256 of "abc" (FIPS 180-4, appendix B.1 of 180-2).
  @Test func hashIsSHA256() {
    #expect(
      EventLogLine.hash(of: Data("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func onlyTheTrainerReadsIt() throws {
    try write()
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
  }

  @Test func aRestartContinuesTheChain() throws {
    try write(3)
    try write(2)
    let found = try EventLogVerification(path: path)
    #expect(found.lines == 5)
    #expect(found.firstBreak == nil)
  }

  @Test(arguments: 0..<4) func aChangedLineShows(_ number: Int) throws {
    try write()
    try rewrite { $0[number] = Substring($0[number].replacing("submitted", with: "cancelled")) }
    let found = try #require(try EventLogVerification(path: path).firstBreak)
    #expect(found.line == number + 2)
    #expect(found.reason.contains("line \(number + 1) was changed"))
  }

  @Test(arguments: 0..<4) func aLineTakenOutShows(_ number: Int) throws {
    try write()
    try rewrite { $0.remove(at: number) }
    #expect(try EventLogVerification(path: path).firstBreak?.line == number + 1)
  }

  @Test func aLinePutInShows() throws {
    try write()
    try rewrite { $0.insert($0[1], at: 2) }
    #expect(try EventLogVerification(path: path).firstBreak?.line == 3)
  }

  @Test func linesMovedShow() throws {
    try write()
    try rewrite { $0.swapAt(1, 3) }
    let found = try #require(try EventLogVerification(path: path).firstBreak)
    #expect(found.line == 2)
    #expect(found.reason.contains("moved"))
  }

  @Test func aLineThatIsNoneShows() throws {
    try write()
    try rewrite { $0[2] = "{}" }
    let found = try #require(try EventLogVerification(path: path).firstBreak)
    #expect(found.line == 3)
    #expect(found.reason.contains("not a line"))
  }

  /// Renumbered and chained anew from line 3 on: only the hash that was noted shows it.
  @Test func aTruncatedEndShowsOnlyByTheExpectedHash() throws {
    try write()
    let noted = try EventLogVerification(path: path).lastHash
    try write(2)
    let grown = try EventLogVerification(path: path, expected: noted)
    #expect(grown.expectedLine == 5)
    #expect(grown.lines == 7)
    try rewrite { $0.removeLast(3) }
    let cut = try EventLogVerification(path: path, expected: noted)
    #expect(cut.firstBreak == nil)
    #expect(cut.expectedLine == nil)
  }

  @Test func aTornLastLineIsPutAsideAndTheChainGoesOn() throws {
    try write(3)
    let torn = #"{"event":"submitted","own"#
    try appendRaw(torn)
    #expect(try EventLogVerification(path: path).tornBytes == torn.utf8.count)
    #expect(try EventLogVerification(path: path).firstBreak == nil)
    try write(2)
    #expect(try events() == ["submitted", "submitted", "submitted", "recovered", "submitted", "submitted"])
    #expect(try EventLogVerification(path: path).firstBreak == nil)
    #expect(try EventLogVerification(path: path).tornBytes == 0)
    #expect(try String(contentsOfFile: path + ".torn-4", encoding: .utf8) == torn)
    // Said once.
    try write(1)
    #expect(try events().count { $0 == "recovered" } == 1)
  }

  /// Killed between putting the line aside and saying so: the next start says it.
  @Test func aTornLineThatWasPutAsideIsSpokenOfLater() throws {
    try write(3)
    try Data("{\"ev".utf8).write(to: URL(filePath: path + ".torn-4"))
    try appendRaw(#"{"event":"rec"#)
    try write(1)
    #expect(try events() == ["submitted", "submitted", "submitted", "recovered", "submitted"])
    #expect(try lines()[3].contains("audit.log.torn-4, audit.log.torn-4.2"))
  }

  @Test func aFileThatIsNoLogIsLeftAlone() throws {
    try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
    try Data("something else\n".utf8).write(to: URL(filePath: path))
    let error = #expect(throws: ServiceError.self) { try EventLog(store: store, program: "trainer") }
    #expect(error?.kind == .checkFailed)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "something else\n")
  }

  @Test func aMissingLogIsNamed() {
    let error = #expect(throws: FileError.self) { try EventLogVerification(path: path) }
    #expect(error?.kind == .inputData)
    #expect(error?.description.contains(path) == true)
  }

  @Test func aDirectoryOrPipeIsNotReadAsALog() throws {
    let pipe = directory.url("pipe").path
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, directory.url("").path] {
      #expect(throws: FileError.self) { try EventLogVerification(path: path) }
    }
  }

  /// The issue's "a clock that jumps": the order of lines is that of their numbers, and the jump is told.
  @Test func aClockThatJumps() throws {
    let clock = Mutex(Date(timeIntervalSince1970: 2_000_000_000))
    let log = try EventLog(store: store, program: "trainer", now: { clock.withLock { $0 } })
    for jump in [0.0, 3600, -7200, 1, 0] {
      clock.withLock { $0 += jump }
      log.note(LoggedEvent(.submitted, owner: owner))
    }
    let found = try EventLogVerification(path: path)
    #expect(found.firstBreak == nil)
    #expect(found.lines == 5)
    #expect(found.clockSetBack == [3])
  }

  /// What an owner can cause as often as it likes is bounded: ten lines, and the number of the others with the next.
  @Test func refusalsInAFloodAreCountedNotWritten() throws {
    var throttle = EventLogThrottle()
    let start = ContinuousClock.now
    let written = (0..<1000).compactMap { _ in
      throttle.admit(LoggedEvent(.refused, owner: owner, reason: "no"), at: start)
    }
    #expect(written.count == 10)
    let other = throttle.admit(LoggedEvent(.refused, owner: try CurveKeyPair.generate().ownerKey), at: start)
    #expect(other?.suppressed == 0)
    #expect(throttle.admit(LoggedEvent(.submitted, owner: owner), at: start)?.suppressed == 0)
    let next = throttle.admit(LoggedEvent(.refused, owner: owner), at: start + .seconds(11))
    #expect(next?.suppressed == 990)
  }

  @Test func aReasonIsCutNotTheLine() throws {
    let log = try EventLog(store: store, program: "trainer")
    log.note(LoggedEvent(.refused, owner: owner, reason: String(repeating: "x\n\"", count: 10_000)))
    #expect(try EventLogVerification(path: path).firstBreak == nil)
    #expect(try #require(try lines().first).utf8.count < 2000)
  }

  // MARK: What the service writes

  @Test func aServiceLogsWhatOwnersDo() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(hasEventLog: true)
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = RawJob<Float>()
    try owner.send(.hello(software: "test"))
    // Again on the same connection, as a run does between upload and training, and on another one.
    try owner.send(.submit(job.description))
    try owner.send(.submit(job.description))
    let back = RawOwner<Float>(site.network, site.keys.ownerKey, job: owner.job)
    try back.send(.submit(job.description))
    _ = try back.wait { message in
      if case .accepted = message { return true }
      return nil as Bool?
    }
    _ = try owner.refusal(of: .retrieve(chunk: 0))
    let stranger = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: owner.job)
    _ = try stranger.refusal(of: .cancel)
    try owner.send(.cancel)
    _ = try owner.wait { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    trainer.shutDown()
    let log = trainer.store.appending(path: "audit.log").path
    let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(EventLogLine.self, from: Data($0.utf8))
    }
    #expect(
      lines.map(\.event) == [
        "started", "connection_admitted", "submitted", "resumed", "refused", "refused", "cancelled", "stopped",
      ])
    #expect(lines[2].owner == site.keys.ownerKey.z85 && lines[2].job == owner.job.description)
    #expect(lines[4].reason?.contains("not finished") == true)
    // Whoever asked, not whose job it is.
    #expect(lines[5].owner != site.keys.ownerKey.z85)
    #expect(try EventLogVerification(path: log).firstBreak == nil)
  }

  @Test func theReleaseOfAJobThatRunsIsRefusedAndNotLogged() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(hasEventLog: true)
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try RawJob<Float>().begin(owner)
    #expect(try owner.refusal(of: .release).reason.contains("release of a job that runs"))
    try owner.send(.cancel)
    _ = try owner.wait { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    trainer.shutDown()
    let text = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    #expect(!text.contains("\"event\":\"released\""), "\(text)")
    #expect(text.components(separatedBy: "\"event\":\"cancelled\"").count == 2, "\(text)")
  }

  /// Somebody has taken the files away under the trainer, for one.
  @Test func aJobWhoseFilesCannotBeRemovedIsToldOfAndNotLoggedAsGone() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(hasEventLog: true)
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try RawJob<Float>().begin(owner)
    try FileManager.default.removeItem(at: trainer.store.appending(path: "jobs/\(owner.job)"))
    #expect(try owner.refusal(of: .cancel).reason.contains("cannot be removed"))
    trainer.shutDown()
    let text = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    #expect(!text.contains("\"event\":\"cancelled\""), "\(text)")
    #expect(text.contains("cannot be removed"), "\(text)")
  }

  @Test func retrievalAndReleaseAreLogged() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(hasEventLog: true)
    try site.run(SmallJob().changing { $0.epochs = 1 }).execute(on: site.network)
    trainer.shutDown()
    let text = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    for event in ["submitted", "retrieved", "released"] {
      #expect(text.components(separatedBy: "\"event\":\"\(event)\"").count == 2, "\(event): \(text)")
    }
  }
}
