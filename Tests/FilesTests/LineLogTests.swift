import Foundations
import Foundation
import Testing
import TestSupport

@testable import Files

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
    #expect(throws: FileError.log(path: path, .tooFewLines(kept: 1, asked: 2))) { try log.truncate(toLines: 2) }
    #expect(throws: FileError.log(path: path, .tooFewLines(kept: 1, asked: -1))) { try log.truncate(toLines: -1) }
    #expect(log.lineCount == 1)
  }

  @Test func aLineWithABreakIsRefused() throws {
    let directory = try TemporaryDirectory()
    let log = try LineLog(path: directory.file("l"))
    #expect(throws: FileError.log(path: directory.file("l"), .lineBreakInLine)) { try log.append("a\nb") }
    #expect(directory.contents("l") == Data())
  }

  @Test func aLineThatIsNotUTF8IsRefused() throws {
    let directory = try TemporaryDirectory()
    try Data([0x61, 0x0A, 0xFF, 0x0A]).write(to: URL(fileURLWithPath: directory.file("l")))
    #expect(throws: FileError.log(path: directory.file("l"), .notUTF8(line: 2))) {
      try LineLog.lines(of: directory.file("l"))
    }
  }

  @Test func aLogThatIsNotThere() {
    #expect(throws: FileError.system(.open, path: "/nowhere/l", code: ENOENT)) {
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

  /// What is done to a log behind the back of whoever writes it.
  enum Interference: CaseIterable {
    case removed, movedAway, replaced, emptied, cut, lengthened

    func happen(to path: String) throws {
      let content = try Data(contentsOf: URL(filePath: path))
      switch self {
      case .removed: unlink(path)
      case .movedAway: rename(path, path + ".1")
      case .replaced:
        unlink(path)
        try content.write(to: URL(filePath: path))
      case .emptied: truncate(path, 0)
      case .cut: truncate(path, off_t(content.count - 1))
      case .lengthened:
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data("x".utf8))
        try file.close()
      }
    }

    func problem(written: Int) -> LineLogProblem {
      switch self {
      case .removed, .movedAway: .gone
      case .replaced: .replaced
      case .emptied: .otherLength(written: written, found: 0)
      case .cut: .otherLength(written: written, found: written - 1)
      case .lengthened: .otherLength(written: written, found: written + 1)
      }
    }
  }

  @Test(arguments: Interference.allCases) func interferenceIsNoticed(_ interference: Interference) throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\n", in: directory)
    let log = try LineLog(path: path)
    try log.append("two")
    try log.checkInPlace()
    // An open file keeps its inode, so that another one cannot have the same number.
    try interference.happen(to: path)
    let error = #expect(throws: FileError.self) { try log.checkInPlace() }
    #expect(error == .log(path: path, interference.problem(written: 8)))
    #expect(error?.kind == .inputData)
  }

  @Test func aLogThatIsPutBackIsInPlace() throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\n", in: directory)
    let log = try LineLog(path: path)
    #expect(rename(path, path + ".1") == 0)
    #expect(throws: FileError.log(path: path, .gone)) { try log.checkInPlace() }
    #expect(rename(path + ".1", path) == 0)
    try log.checkInPlace()
  }

  @Test func aLogBehindALinkIsInPlace() throws {
    let directory = try TemporaryDirectory()
    let path = try log("one\n", in: directory)
    #expect(symlink(path, directory.file("link")) == 0)
    let log = try LineLog(path: directory.file("link"))
    try log.append("two")
    try log.checkInPlace()
    #expect(unlink(path) == 0)
    #expect(throws: FileError.log(path: directory.file("link"), .gone)) { try log.checkInPlace() }
  }
}
