import Foundation
import Foundations
import TestSupport
import Testing

@testable import Files

/// Files that tell by themselves whether they are what was written.
@Suite struct CheckedFileTests {
  private struct Content: Codable, Equatable {
    var numbers: [Double?] = [0.1, nil, -0.0, 1e300]
    var names = ["b": "é\n", "a": ""]
    var nested: [Int]? = nil
  }

  private func content(of file: String) throws -> [UInt8] {
    let bytes = try Data(contentsOf: URL(filePath: file))
    return try bytes.withUnsafeBytes { Array(try CheckedFile.content(of: $0, path: file)) }
  }

  @Test(arguments: [0, 1, 31, 5000]) func contentComesBackAndAnyChangedBitShows(_ count: Int) throws {
    let folder = try TemporaryDirectory()
    let file = folder.file("state")
    let written = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try written.withUnsafeBytes { try CheckedFile.write($0, to: file) }
    #expect(try content(of: file) == written)
    let good = try Data(contentsOf: URL(filePath: file))
    #expect(good.count == count + 16)
    for bit in stride(from: 0, to: good.count * 8, by: max(1, good.count / 40)) {
      var bytes = good
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      try bytes.write(to: URL(filePath: file))
      // Without its mark a file is one of a version before, and all of it its content, which is longer than what was written.
      let isMark = (count..<count + 8).contains(bit / 8)
      if isMark {
        #expect(try content(of: file) == Array(bytes))
      } else {
        #expect(throws: FileError.file(path: file, .altered)) { try content(of: file) }
      }
    }
    try Data(written).write(to: URL(filePath: file))
    #expect(try content(of: file) == written)
  }

  @Test func documentsComeBackAndChangedOnesDoNot() throws {
    let value = Content()
    let bytes = try CheckedJSON.encode(value)
    let read = try #require(CheckedJSON.decode(Content.self, from: bytes))
    #expect(read.value == value && read.isChecked)
    let line = try CheckedJSON.line(value)
    #expect(!line.contains("\n") && CheckedJSON.decode(Content.self, from: Data(line.utf8))?.isChecked == true)
    let text = String(decoding: bytes, as: UTF8.self)
    for (part, other) in [("0.1", "0.2"), ("null", "1"), ("\"a\"", "\"c\""), ("-0", "0"), ("1e+300", "1e+299")] {
      try #require(text.contains(part), "\(text)")
      let changed = text.replacing(part, with: other, maxReplacements: 1)
      #expect(CheckedJSON.decode(Content.self, from: Data(changed.utf8)) == nil, "\(part)")
    }
    // One of a version before.
    let plain = try JSONEncoder().encode(value)
    #expect(CheckedJSON.decode(Content.self, from: plain)?.isChecked == false)
  }

  @Test func anotherPartyIsToldNoPath() {
    for code in [ENOSPC, EDQUOT, EACCES, ENOTDIR, EIO] {
      let error = FileError.system(.write, path: "/secret/place", code: code)
      #expect(!error.descriptionForOthers.contains("secret") && error.description.contains("/secret/place"))
      #expect(error.descriptionForOthers.contains(String(cString: strerror(code))))
    }
    #expect(FileError.system(.write, path: "/x", code: ENOSPC).descriptionForOthers.hasPrefix("its store is full"))
    #expect(!FileError.file(path: "/x", .short).descriptionForOthers.contains("/x"))
    #expect(!FileError.log(path: "/x", .gone).descriptionForOthers.contains("/x"))
  }
}
