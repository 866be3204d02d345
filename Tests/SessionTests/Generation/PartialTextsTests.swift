import Files
import Foundation
import Foundations
import TestSupport
import Testing

@testable import OwnerRole

/// What a command that generates keeps until its result is whole.
@Suite struct PartialTextsTests {
  private let directory: TemporaryDirectory
  private var path: String { directory.url("texts.partial").path }

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func opened() throws -> PartialTexts {
    let sampling = try TokenSampling(temperature: 0)
    return try PartialTexts(path: path) { known in
      PartialTexts.Subject(
        deployment: JobID(bytes: [UInt8](repeating: 7, count: JobID.byteCount)), client: "client",
        prompts: AskedFile(path: "/prompts.h5", bytes: 100, changed: 1.5), features: nil, rows: 3, mostTokens: nil,
        sampling: sampling, seed: known ?? 5)
    }
  }

  /// One draw for all sessions, in another process, too. A file without one, of the version before: its tokens stay, its sessions are new.
  @Test func noiseIsDrawnOnce() throws {
    let begun = try opened()
    try begun.set(PartialAnswers.Numbering(index: 0, first: 9, keyNumber: 1, kernel: "k"))
    try begun.add(4, row: 1)
    let again = try opened()
    #expect(again.draw.number == begun.draw.number && again.numbering?.first == 9 && again.tokens(row: 1) == [4])
    let magic = Array("partial texts v1".utf8)
    let log = try RecordLog(path: path, magic: magic)
    let records = try (0..<log.count).map { try log.bytes($0) }.filter { $0.first != 5 }
    #expect(records.count == log.count - 1)
    try log.remove()
    let before = try RecordLog(path: path, magic: magic)
    for record in records { try before.append(record) }
    let taken = try opened()
    #expect(taken.numbering == nil && taken.tokens(row: 1) == [4])
    let third = try opened()
    #expect(taken.draw.number != begun.draw.number && third.draw.number == taken.draw.number)
  }

  @Test(arguments: [#"{"number":1}"#, "{}"]) func drawsThatCannotBe(_ text: String) throws {
    _ = try opened()
    try RecordLog(path: path, magic: Array("partial texts v1".utf8)).append([5] + Array(text.utf8))
    #expect(throws: OwnerError.self) { _ = try opened() }
  }
}
