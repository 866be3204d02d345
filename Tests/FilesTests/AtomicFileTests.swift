import Foundation
import Foundations
import TestSupport
import Testing

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
    let full = FileError.system(.write, path: path, code: ENOSPC)
    #expect(throws: full) {
      try AtomicFile.write(to: path) { (writer) throws(FileError) in
        try writer.write(Data("new".utf8))
        throw full
      }
    }
    #expect(directory.contents("a") == Data("old".utf8))
    #expect(try directory.names == ["a"])
  }

  @Test(arguments: [0, 3]) func aKillWhileWritingLeavesTheOldContentAndALeftover(bytes: Int) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a")
    try AtomicFile.write(Data("old".utf8), to: path)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, bytes = bytes as Int] in
      try AtomicFile.write(to: path) { (writer) throws(FileError) in
        try writer.write([UInt8](repeating: 1, count: bytes))
        kill(getpid(), SIGKILL)
      }
    }
    #expect(directory.contents("a") == Data("old".utf8))
    let leftovers = try directory.names.filter(AtomicFile.isTemporaryName)
    #expect(leftovers.count == 1)
    for name in leftovers { #expect(try directory.permissions(name) == 0o600) }
    try AtomicFile.removeLeftovers(in: directory.path)
    #expect(try directory.names == ["a"])
  }

  @Test func theNameAppearsWhenTheFileIsWhole() throws {
    let directory = try TemporaryDirectory()
    do {
      let writer = try AtomicFileWriter(path: directory.file("a"))
      try writer.write([1, 2, 3])
      try writer.overwrite([9], at: 0)
      #expect(directory.contents("a") == nil)
      try writer.publish()
      #expect(directory.contents("a") == Data([9, 2, 3]))
      writer.discard()
    }
    #expect(directory.contents("a") == Data([9, 2, 3]))
    _ = try AtomicFileWriter(path: directory.file("b"))
    #expect(try directory.names == ["a"])
  }

  @Test func theUmaskTakesNothingFromTheFilesOwner() async throws {
    let directory = try TemporaryDirectory()
    await #expect(processExitsWith: .success) { [path = directory.file("a") as String] in
      umask(0o777)
      try AtomicFile.write(Data(), to: path, mode: 0o644)
    }
    #expect(try directory.permissions("a") == 0o600)
  }

  @Test func existingFilesCanBeProtected() throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.write(Data("old".utf8), to: directory.file("a"), replacing: false)
    let error = #expect(throws: FileError.self) {
      try AtomicFile.write(Data("new".utf8), to: directory.file("a"), replacing: false)
    }
    #expect(error?.kind == .keyOrPermission)
    #expect(directory.contents("a") == Data("old".utf8))
    #expect(try directory.names == ["a"])
  }

  @Test func aMissingDirectoryIsNamed() {
    let error = #expect(throws: FileError.self) { try AtomicFile.write(Data(), to: "/nowhere/at/all") }
    #expect(error == .system(.create, path: "/nowhere/at/all", code: ENOENT))
    #expect(error?.kind == .usage)
  }

  @Test func aDirectoryInTheWayIsNotReplaced() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    #expect(throws: FileError.system(.rename, path: directory.file("d"), code: EISDIR)) {
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
    let error = #expect(throws: FileError.self) { try file.write([1, 2, 3], at: 0) }
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
    #expect(FileError.system(operation, path: "p", code: code).kind == kind)
  }
}

@Suite struct SmallFileTests {
  @Test func aFileIsReadWholeAndAMissingOneIsNone() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("a", "{}")
    #expect(try SmallFile.read(path) == Data("{}".utf8))
    #expect(try SmallFile.read(path, limit: 2) == Data("{}".utf8))
    #expect(try SmallFile.read(directory.file("b")) == nil)
  }

  /// Not the EFBIG of a limit on the size of files, which is the reader's own.
  @Test func aFileThatIsTooLongIsDamaged() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("a", "{ }")
    let error = #expect(throws: FileError.self) { try SmallFile.read(path, limit: 2) }
    #expect(error == .file(path: path, .tooLong(limit: 2)))
    #expect(error?.kind == .inputData)
    #expect(error?.description == "\(path) is longer than 2 bytes, which it never is: it is damaged, or another file")
  }

  @Test func aPipeOrADeviceIsNoRegularFile() throws {
    let directory = try TemporaryDirectory()
    let pipe = directory.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero"] {
      let error = #expect(throws: FileError.self) { try SmallFile.read(path) }
      #expect(error == .file(path: path, .notRegular))
      #expect(error?.kind == .inputData)
    }
  }

  @Test func aDirectoryIsCalledOne() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: FileError.system(.read, path: directory.path, code: EISDIR)) {
      try SmallFile.read(directory.path)
    }
  }
}

@Suite struct ContentHashTests {
  private func hash(_ bytes: [UInt8], piece: Int) -> UInt64 {
    var hash = ContentHash()
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + piece)
      Array(bytes[start..<end]).withUnsafeBytes { hash.update($0) }
      start = end
    }
    return hash.value()
  }

  /// Values of the reference implementation with seed 0; the lengths reach every branch (0, 1, 3, 4 … 31, 32, more).
  @Test func valuesOfTheReferenceImplementation() {
    #expect(hash([], piece: 1) == 0xEF46_DB37_51D8_E999)
    #expect(hash(Array("a".utf8), piece: 1) == 0xD24E_C4F1_A98C_6E5B)
    #expect(hash(Array("abc".utf8), piece: 3) == 0x44BC_2CF5_AD77_0999)
    let counting = (0..<200).map { UInt8($0) }
    let expected: [Int: UInt64] = [
      3: 0xE5C7BB4533BC65DD, 4: 0xFFCED8604453CC1E, 7: 0x14CC643F630C72D2,
      8: 0x884A173614B81B8D, 12: 0x424AF23F1F08DCA5, 15: 0xA948F5F0F6ABAC2D,
      31: 0xC346D2B59B4D8EE1, 32: 0xCBF59C5116FF32B4, 33: 0x0C535D1ACAFB8EAD,
      63: 0xE26AA9E2A95F8E4F, 64: 0xF7C67301DB6713F0, 100: 0x6AC1E58032166597,
      200: 0x50DC1079B99E879C,
    ]
    for (length, value) in expected { #expect(hash(Array(counting.prefix(length)), piece: 200) == value, "\(length)") }
  }

  @Test func theCutIntoPiecesDoesNotMatter() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let whole = hash(bytes, piece: 300)
    for piece in [1, 5, 31, 32, 33, 64, 100] { #expect(hash(bytes, piece: piece) == whole) }
  }
}
