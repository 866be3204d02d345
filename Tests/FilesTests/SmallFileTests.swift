import Foundations
import Foundation
import Testing
import TestSupport

@testable import Files

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
    let error = #expect(throws: CheckpointError.self) { try SmallFile.read(path, limit: 2) }
    #expect(error == .file(path: path, .tooLong(limit: 2)))
    #expect(error?.kind == .inputData)
    #expect(error?.description == "\(path) is longer than 2 bytes, which it never is: it is damaged, or another file")
  }

  @Test func aPipeOrADeviceIsNoRegularFile() throws {
    let directory = try TemporaryDirectory()
    let pipe = directory.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero"] {
      let error = #expect(throws: CheckpointError.self) { try SmallFile.read(path) }
      #expect(error == .file(path: path, .notRegular))
      #expect(error?.kind == .inputData)
    }
  }

  @Test func aDirectoryIsCalledOne() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: CheckpointError.system(.read, path: directory.path, code: EISDIR)) {
      try SmallFile.read(directory.path)
    }
  }
}
