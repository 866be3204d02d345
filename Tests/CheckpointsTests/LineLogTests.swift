import Foundation
import Testing
import TestSupport

@testable import Checkpoints

@Suite struct LineLogTests {
  private func log(_ text: String, in directory: TemporaryDirectory) throws -> String {
    let path = directory.file("history.jsonl")
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func linesAreReadBack() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("history.jsonl")
    let log = try LineLog(path: path)
    try log.append("{\"step\":0}")
    try log.append("")
    try log.append("é")
    try log.sync()
    #expect(log.lineCount == 3)
    #expect(try LineLog.lines(of: path) == ["{\"step\":0}", "", "é"])
    #expect(directory.contents("history.jsonl") == Data("{\"step\":0}\n\né\n".utf8))
  }

  @Test func aTornLastLineIsPassedOverAndCutOff() throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\ntwo\nthr", in: directory)
    #expect(try LineLog.lines(of: path) == ["one", "two"])
    let log = try LineLog(path: path)
    #expect(log.lineCount == 2)
    try log.append("three")
    #expect(directory.contents("history.jsonl") == Data("one\ntwo\nthree\n".utf8))
  }

  @Test func aFileThatIsOneTornLineIsEmpty() throws {
    let directory = try TemporaryDirectory()
    let path = try log("torn", in: directory)
    #expect(try LineLog.lines(of: path).isEmpty)
    #expect(try LineLog(path: path).lineCount == 0)
    #expect(directory.contents("history.jsonl") == Data())
  }

  @Test func linesBeyondACheckpointAreDropped() throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\ntwo\nthree\n", in: directory)
    let log = try LineLog(path: path)
    try log.truncate(toLines: 3)
    #expect(log.lineCount == 3)
    try log.truncate(toLines: 1)
    try log.append("again")
    #expect(try LineLog.lines(of: path) == ["one", "again"])
    try log.truncate(toLines: 0)
    #expect(directory.contents("history.jsonl") == Data())
  }

  @Test func keepingMoreLinesThanThereAreIsRefused() throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\n", in: directory)
    let log = try LineLog(path: path)
    #expect(throws: CheckpointError.log(path: path, .tooFewLines(kept: 1, asked: 2))) { try log.truncate(toLines: 2) }
    #expect(throws: CheckpointError.log(path: path, .tooFewLines(kept: 1, asked: -1))) { try log.truncate(toLines: -1) }
    #expect(log.lineCount == 1)
  }

  @Test func aLineWithABreakIsRefused() throws {
    let directory = try TemporaryDirectory()
    let log = try LineLog(path: directory.file("l"))
    #expect(throws: CheckpointError.log(path: directory.file("l"), .lineBreakInLine)) { try log.append("a\nb") }
    #expect(directory.contents("l") == Data())
  }

  @Test func aLineThatIsNotUTF8IsRefused() throws {
    let directory = try TemporaryDirectory()
    try Data([0x61, 0x0A, 0xFF, 0x0A]).write(to: URL(fileURLWithPath: directory.file("l")))
    #expect(throws: CheckpointError.log(path: directory.file("l"), .notUTF8(line: 2))) {
      try LineLog.lines(of: directory.file("l"))
    }
  }

  @Test func aLogThatIsNotThere() {
    #expect(throws: CheckpointError.system(.open, path: "/nowhere/l", code: ENOENT)) {
      try LineLog.lines(of: "/nowhere/l")
    }
  }

  /// Lines around the 64 KiB that are looked through at a time.
  @Test func longLinesAcrossChunks() throws {
    let directory = try TemporaryDirectory()
    let lines = [65_535, 1, 65_536, 200_000].map { String(repeating: "x", count: $0) }
    let log = try LineLog(path: directory.file("l"))
    for line in lines { try log.append(line) }
    #expect(try LineLog(path: directory.file("l")).lineCount == 4)
    try log.truncate(toLines: 3)
    #expect(try LineLog.lines(of: directory.file("l")) == Array(lines.prefix(3)))
  }
}
