import Foundations
import Foundation
import Synchronization
import Testing
import TestSupport
import Protocol

@testable import Service
@testable import TrainerRole

/// Logs that were moved, removed or changed under a trainer at work, and what a restart makes of it.
extension EventLogTests {
  private final class Changes: Sendable {
    private let seen = Mutex<[EventLog.Change]>([])

    func note(_ change: EventLog.Change) { seen.withLock { $0.append(change) } }

    var all: [EventLog.Change] { seen.withLock { $0 } }
  }

  private func log(_ changes: Changes) throws -> EventLog {
    let log = try EventLog(store: store, program: "trainer", observe: { changes.note($0) })
    log.note(LoggedEvent(.started))
    try log.require(LoggedEvent(.submitted, owner: owner, job: .random()))
    return log
  }

  private func events() throws -> [String] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(EventLogLine.self, from: Data($0.utf8)).event
    }
  }

  private func expectNoJobIsTaken(_ log: EventLog, saying text: String) {
    let error = #expect(throws: ServiceError.self) {
      try log.require(LoggedEvent(.submitted, owner: owner, job: .random()))
    }
    #expect(error?.kind == .exhausted && error?.cause == .eventLog)
    #expect(error?.description.contains(text) == true, "\(String(describing: error))")
  }

  /// It asks the log itself, as a logger or a page of metrics may.
  @Test(.timeLimit(.minutes(1))) func anObserverIsToldOutsideOfTheLogsLock() throws {
    let changes = Changes()
    let counts = Mutex<[Int]>([])
    let asked = Mutex<EventLog?>(nil)
    let log = try EventLog(
      store: store, program: "trainer",
      observe: { change in
        changes.note(change)
        let log = asked.withLock { $0 }
        counts.withLock { $0.append(log?.waitingCount ?? -1) }
        log?.note(LoggedEvent(.stopped))
      })
    asked.withLock { $0 = log }
    #expect(rename(path, path + ".1") == 0)
    log.note(LoggedEvent(.started))
    #expect(rename(path + ".1", path) == 0)
    log.flush()
    #expect(changes.all.count == 2 && changes.all.last == .mended)
    #expect(counts.withLock { $0 } == [1, 0])
    #expect(try events() == ["started", "stopped", "stopped"])
    asked.withLock { $0 = nil }
  }

  /// No job is taken, other events are kept, it is told once; back in its place the log goes on.
  @Test func aLogMovedAwayAndPutBack() throws {
    let changes = Changes()
    let log = try log(changes)
    let before = try Data(contentsOf: URL(filePath: path))
    #expect(rename(path, path + ".1") == 0)
    expectNoJobIsTaken(log, saying: "moved away or removed")
    log.note(LoggedEvent(.cancelled, owner: owner, job: .random()))
    expectNoJobIsTaken(log, saying: "put it back, or restart")
    #expect(log.waitingCount == 1)
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(try Data(contentsOf: URL(filePath: path + ".1")) == before)
    #expect(changes.all.count == 1)
    #expect(rename(path + ".1", path) == 0)
    log.flush()
    #expect(log.waitingCount == 0)
    #expect(changes.all.count == 2 && changes.all.last == .mended)
    try log.require(LoggedEvent(.submitted, owner: owner, job: .random()))
    #expect(try events() == ["started", "submitted", "cancelled", "submitted"])
    #expect(try EventLogVerification(path: path).firstBreak == nil)
  }

  /// Nothing is written behind what is left: no hole, and no line of another chain.
  @Test(arguments: ["", "another file\n"]) func aLogWhoseContentWasReplaced(_ content: String) throws {
    let log = try log(Changes())
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    try file.truncate(atOffset: 0)
    try file.write(contentsOf: Data(content.utf8))
    try file.close()
    expectNoJobIsTaken(log, saying: "has \(content.utf8.count) bytes where")
    log.note(LoggedEvent(.stopped))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == content)
  }

  @Test func anotherFileInItsPlaceIsLeftAlone() throws {
    let changes = Changes()
    let log = try log(changes)
    let copy = try Data(contentsOf: URL(filePath: path))
    #expect(unlink(path) == 0)
    try copy.write(to: URL(filePath: path))
    expectNoJobIsTaken(log, saying: "is another file than the one in use")
    #expect(try Data(contentsOf: URL(filePath: path)) == copy)
    #expect(changes.all.count == 1)
    guard case .failed(let reason)? = changes.all.first else {
      Issue.record("not told")
      return
    }
    #expect(reason.contains(path))
  }

  /// In a store that has served before, a log that begins anew says that there was one.
  @Test(arguments: [true, false]) func aRestartWithoutTheLogSaysSo(_ isRemoved: Bool) throws {
    _ = try log(Changes())
    _ = try TrainingStore(store: store)
    #expect((isRemoved ? unlink(path) : truncate(path, 0)) == 0)
    _ = try log(Changes())
    #expect(try events() == ["recovered", "started", "submitted"])
    #expect(try EventLogVerification(path: path).firstBreak == nil)
    // Said once.
    _ = try log(Changes())
    #expect(try events().count { $0 == "recovered" } == 1)
  }

  @Test func aNewStoreBeginsALogWithoutAWord() throws {
    _ = try log(Changes())
    #expect(try events() == ["started", "submitted"])
  }

  @Test func aLinkThatLeadsNowhere() throws {
    try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
    #expect(symlink(directory.file("nowhere/audit.log"), path) == 0)
    let error = #expect(throws: ServiceError.self) { try EventLog(store: store, program: "trainer") }
    #expect(error?.kind == .inputData)
    #expect(error?.description.contains("\(path) is a link") == true)
  }
}
