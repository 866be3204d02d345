import Foundations
import Foundation
import Testing
import TestSupport

@testable import Files

@Suite struct AtomicFileTests {
  @Test func contentReplacesTheOld() throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.write(Data("one".utf8), to: directory.file("a"))
    try AtomicFile.write(Data("two!".utf8), to: directory.file("a"))
    #expect(directory.contents("a") == Data("two!".utf8))
    #expect(try directory.names == ["a"])
  }

  @Test func secretsAreReadableByTheirOwnerOnly() throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.write(Data(), to: directory.file("key"), mode: 0o600)
    #expect(try directory.permissions("key") == 0o600)
  }

  @Test func aFailureKeepsTheOldContentAndLeavesNothingBehind() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a")
    try AtomicFile.write(Data("old".utf8), to: path)
    let full = CheckpointError.system(.write, path: path, code: ENOSPC)
    #expect(throws: full) {
      try AtomicFile.write(to: path) { (writer) throws(CheckpointError) in
        try writer.write(Data("new".utf8))
        throw full
      }
    }
    #expect(directory.contents("a") == Data("old".utf8))
    #expect(try directory.names == ["a"])
  }

  @Test func existingFilesCanBeProtected() throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.write(Data("old".utf8), to: directory.file("a"), replacing: false)
    let error = #expect(throws: CheckpointError.self) {
      try AtomicFile.write(Data("new".utf8), to: directory.file("a"), replacing: false)
    }
    #expect(error?.kind == .keyOrPermission)
    #expect(directory.contents("a") == Data("old".utf8))
    #expect(try directory.names == ["a"])
  }

  @Test func aMissingDirectoryIsNamed() {
    let error = #expect(throws: CheckpointError.self) { try AtomicFile.write(Data(), to: "/nowhere/at/all") }
    #expect(error == .system(.create, path: "/nowhere/at/all", code: ENOENT))
    #expect(error?.kind == .usage)
  }

  @Test func aDirectoryInTheWayIsNotReplaced() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    #expect(throws: CheckpointError.system(.rename, path: directory.file("d"), code: EISDIR)) {
      try AtomicFile.write(Data(), to: directory.file("d"))
    }
    #expect(try directory.names == ["d"])
  }

  @Test func leftoversOfAKilledProcessAreRemovedAndNothingElse() throws {
    let directory = try TemporaryDirectory()
    for name in [".writing-0123456789abcdef", ".writing-0123", ".writing-0123456789abcdeg", "a"] {
      try Data().write(to: URL(fileURLWithPath: directory.file(name)))
    }
    try AtomicFile.removeLeftovers(in: directory.path)
    #expect(try directory.names == [".writing-0123", ".writing-0123456789abcdeg", "a"])
  }

  /// /dev/full answers every write as a full disk does.
  @Test func aFullDiskIsExhaustedAndNamesThePath() throws {
    let file = try OpenFile.open("/dev/full", O_WRONLY)
    let error = #expect(throws: CheckpointError.self) { try file.write([1, 2, 3], at: 0) }
    #expect(error == .system(.write, path: "/dev/full", code: ENOSPC))
    #expect(error?.kind == .exhausted)
    #expect(error?.description.hasPrefix("cannot write /dev/full: No space left on device; free space") == true)
  }

  @Test(arguments: [
    (EDQUOT, SystemOperation.write, FailureKind.exhausted), (EFBIG, .write, .exhausted), (EMFILE, .open, .exhausted),
    (EACCES, .open, .keyOrPermission), (EROFS, .create, .keyOrPermission), (ENOENT, .open, .inputData),
    (ENOENT, .create, .usage), (EIO, .read, .inputData), (EIO, .sync, .exhausted),
  ])
  func kindsOfSystemErrors(code: Int32, operation: SystemOperation, kind: FailureKind) {
    #expect(CheckpointError.system(operation, path: "p", code: code).kind == kind)
  }
}
