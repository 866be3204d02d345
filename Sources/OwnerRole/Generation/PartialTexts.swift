import Files
import Foundation
import Foundations

/// The tokens that texts have so far, in a file beside the one that they are to become: a command that ends early goes on there.
///
/// A record log: first what is generated from which prompts, then in any order what the noise on their tokens is drawn from, which numbers the sessions have from which text on, each token before it
/// is sent to the host, and each text once it is done. Its user's alone (0600).
final class PartialTexts {
  /// What is generated: a file of anything else is not gone on with.
  struct Subject: Codable, Equatable {
    /// The form of the file.
    var version = 1
    let deployment: JobID
    let client: String
    /// The file of prompts, and where they are.
    let prompts: AskedFile
    let features: String?
    let rows: Int
    /// New tokens of a text; nil for the usual number.
    let mostTokens: Int?
    let sampling: TokenSampling
    var seed: Int
  }

  /// A text that is done.
  struct Text: Equatable {
    /// The new ones.
    let tokens: [Int32]
    /// Whether an end token is the last, not the limit.
    let isFinished: Bool
  }

  private static let magic = Array("partial texts v1".utf8)
  private enum Kind: UInt8 { case subject = 1, numbering = 2, token = 3, text = 4, draw = 5 }

  private let log: RecordLog
  let subject: Subject
  private(set) var numbering: PartialAnswers.Numbering?
  /// For all texts, whatever numbers their sessions have; a file of before has none, and its sessions are numbered anew.
  private(set) var draw = PartialAnswers.Draw.random()
  private var isDrawn = false
  /// Of texts that are begun and not done.
  private var begun: [Int: [Int32]] = [:]
  /// Records of texts that are done.
  private var ended: [Int: Int] = [:]
  /// Texts that are done, none of them missing before it.
  private(set) var done = 0
  private(set) var longest = 0

  var path: String { log.path }
  var doneCount: Int { ended.count }

  /// Opens the file of a command that was begun, or begins it.
  ///
  /// - Parameter subject: made with the seed of the file, or with nil where it is new.
  /// - Throws: `OwnerError.run` for a file of something else; `FileError`.
  init(path: String, _ subject: (_ known: Int?) -> Subject) throws {
    log = try RecordLog(path: path, magic: Self.magic)
    guard log.count > 0 else {
      self.subject = subject(nil)
      try append(.subject, JSONEncoder().encode(self.subject))
      try append(.draw, JSONEncoder().encode(draw))
      return
    }
    let first = try log.bytes(0)
    guard first.first == Kind.subject.rawValue,
      let known = try? JSONDecoder().decode(Subject.self, from: first.dropFirst()), known == subject(known.seed)
    else { throw Self.otherTexts(path) }
    self.subject = known
    for record in 1..<log.count { try take(record) }
    if !isDrawn { try append(.draw, JSONEncoder().encode(draw)) }
    count()
  }

  private static func otherTexts(_ path: String) -> OwnerError {
    .run(
      "\(path) holds texts of another command (other prompts, options or seed, another deployment or client); delete it, or choose another --out"
    )
  }

  private func take(_ record: Int) throws {
    let bytes = try log.bytes(record)
    let content = bytes.dropFirst()
    switch bytes.first.flatMap(Kind.init(rawValue:)) {
    case .numbering:
      guard let known = try? JSONDecoder().decode(PartialAnswers.Numbering.self, from: content), known.isPossible
      else {
        throw Self.otherTexts(path)
      }
      if isDrawn { numbering = known }
    case .draw:
      guard let known = try? JSONDecoder().decode(PartialAnswers.Draw.self, from: content), known.isPossible else {
        throw Self.otherTexts(path)
      }
      (draw, isDrawn) = (known, true)
    case .token:
      guard content.count == 12, let row = row(content), let token = Self.numbers(content.dropFirst(8)).first,
        ended[row] == nil
      else { throw Self.otherTexts(path) }
      begun[row, default: []].append(token)
    case .text:
      guard let row = row(content), let text = Self.text(content) else { throw Self.otherTexts(path) }
      note(text, row: row, record: record)
    case .subject, nil: throw Self.otherTexts(path)
    }
  }

  private func row(_ content: Data) -> Int? {
    guard content.count >= 8 else { return nil }
    let number = content.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Int(exactly: number).flatMap { (0..<subject.rows).contains($0) ? $0 : nil }
  }

  /// 4 bytes each, little-endian.
  private static func numbers(_ bytes: Data) -> [Int32] {
    let bytes = Array(bytes)
    return stride(from: 0, to: bytes.count - bytes.count % 4, by: 4).map { first in
      bytes[first..<first + 4].reversed().reduce(Int32(0)) { $0 << 8 | Int32($1) }
    }
  }

  /// Row, one byte, tokens.
  private static func text(_ content: Data) -> Text? {
    let rest = content.dropFirst(8)
    guard let finished = rest.first, finished <= 1, (rest.count - 1) % 4 == 0 else { return nil }
    return Text(tokens: numbers(rest.dropFirst()), isFinished: finished == 1)
  }

  private func note(_ text: Text, row: Int, record: Int) {
    ended[row] = record
    begun[row] = nil
    longest = max(longest, text.tokens.count)
  }

  private func count() {
    while ended[done] != nil { done += 1 }
  }

  private func append(_ kind: Kind, _ bytes: some Collection<UInt8>) throws {
    try log.append([kind.rawValue] + bytes)
  }

  private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  // MARK: - Writing

  /// Before the first session with these numbers is begun.
  func set(_ numbering: PartialAnswers.Numbering) throws {
    try append(.numbering, JSONEncoder().encode(numbering))
    self.numbering = numbering
  }

  /// Before the token is sent, with `sync` between: what the host has counted is known here.
  func add(_ token: Int32, row: Int) throws {
    try append(.token, Self.bytes(UInt64(row)) + Self.bytes(token))
    begun[row, default: []].append(token)
  }

  /// Before anything is sent that depends on what was written: after a power cut the host has counted nothing that is not known here.
  func sync() throws {
    try log.sync()
  }

  /// Whether a power cut leaves all of it.
  var isOnDisk: Bool { log.isOnDisk }

  func end(row: Int, isFinished: Bool) throws {
    let text = Text(tokens: tokens(row: row), isFinished: isFinished)
    let record = log.count
    try append(.text, Self.bytes(UInt64(row)) + [isFinished ? 1 : 0] + text.tokens.flatMap(Self.bytes))
    note(text, row: row, record: record)
    count()
  }

  // MARK: - Reading

  /// New tokens of a text that is not done.
  func tokens(row: Int) -> [Int32] { begun[row] ?? [] }

  func isDone(_ row: Int) -> Bool { ended[row] != nil }

  /// - Throws: `OwnerError.run` for a text that is not done.
  func text(row: Int) throws -> Text {
    guard let record = ended[row], let text = Self.text(try log.bytes(record).dropFirst()) else {
      throw Self.otherTexts(path)
    }
    return text
  }

  /// Once the result is whole on the disk.
  func remove() throws {
    try Directory.remove(log.path)
  }
}
