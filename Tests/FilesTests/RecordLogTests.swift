import Foundation
import TestSupport
import Testing

@testable import Files

/// A log of binary records after kills, cuts and flipped bits.
@Suite struct RecordLogTests {
  private let directory: TemporaryDirectory
  private let magic = Array("a log of tests 1".utf8)
  private let records: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 7, count: 3_000_000), [9]]

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var path: String { directory.url("log").path }

  private func written() throws -> Data {
    let log = try RecordLog(path: path, magic: magic)
    for record in records { try log.append(record) }
    return try Data(contentsOf: URL(filePath: path))
  }

  @Test func recordsComeBack() throws {
    _ = try written()
    let log = try RecordLog(path: path, magic: magic)
    #expect(log.count == 4)
    for (index, record) in records.enumerated() { #expect(try log.bytes(index) == Data(record)) }
    try log.append([5])
    #expect(try RecordLog(path: path, magic: magic).bytes(4) == Data([5]))
    #expect(throws: FileError.file(path: path, .short)) { _ = try log.bytes(5) }
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  /// Cut anywhere, it has the records that are whole, and the next one stands behind them.
  @Test func aFileThatIsCutKeepsItsWholeRecords() throws {
    let whole = try written()
    // Ends of the magic and of each record: 8 bytes of length and 8 of hash around each.
    let ends = records.reduce(into: [magic.count]) { $0.append($0[$0.count - 1] + 16 + $1.count) }
    #expect(ends.last == whole.count)
    for end in ends.flatMap({ [$0 - 1, $0, $0 + 1, $0 + 8] }) where end <= whole.count && end >= 0 {
      try whole.prefix(end).write(to: URL(filePath: path))
      let log = try RecordLog(path: path, magic: magic)
      #expect(log.count == max(0, ends.count { $0 <= end } - 1), "\(end)")
      try log.append([42])
      let again = try RecordLog(path: path, magic: magic)
      #expect(again.count == log.count)
      #expect(try again.bytes(again.count - 1) == Data([42]))
    }
  }

  @Test func aRecordWithAFlippedBitAndThoseAfterItAreGone() throws {
    var bytes = try written()
    bytes[magic.count + 8] ^= 1
    try bytes.write(to: URL(filePath: path))
    #expect(try RecordLog(path: path, magic: magic).count == 0)
    // A length that no file has.
    try (Data(magic) + Data(repeating: 0xFF, count: 40)).write(to: URL(filePath: path))
    #expect(try RecordLog(path: path, magic: magic).count == 0)
  }

  @Test func anotherFileStaysAsItIs() throws {
    for text in ["notes", "notes that are longer than what a log begins with"] {
      try Data(text.utf8).write(to: URL(filePath: path))
      #expect(throws: FileError.file(path: path, .foreign)) { _ = try RecordLog(path: path, magic: magic) }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
    }
    try Data().write(to: URL(filePath: path))
    #expect(try RecordLog(path: path, magic: magic).count == 0)
  }

  /// Of a long record the first bytes alone; of a short one all.
  @Test func theBeginningOfARecord() throws {
    let log = try RecordLog(path: path, magic: magic)
    try log.append([1, 2, 3, 4])
    try log.append([])
    #expect(try log.bytes(0, first: 2) == Data([1, 2]) && log.bytes(0, first: 9) == Data([1, 2, 3, 4]))
    #expect(try log.bytes(1, first: 2) == Data())
  }

  /// Under no name while it is there, and nothing is left when it is released.
  @Test func aLogWithoutAName() throws {
    let place = URL(filePath: path).deletingLastPathComponent()
    let before = try FileManager.default.contentsOfDirectory(atPath: place.path)
    let log = try RecordLog(unnamedIn: place.path, magic: magic)
    try log.append([1, 2, 3])
    #expect(try log.bytes(0) == Data([1, 2, 3]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == before)
    try log.remove()
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == before)
  }
}
