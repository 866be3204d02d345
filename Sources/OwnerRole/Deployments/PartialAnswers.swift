import Files
import Foundation
import Foundations
import Numerics

/// What a query has had answered so far, in a file beside the one that it is to become: a query that ends early goes on there.
///
/// A record log: first which question it is, then in any order which numbers the questions have from which on, and the outputs of each one
/// that is answered, unmasked. Its user's alone (0600).
final class PartialAnswers {
  /// Which query the answers are of: a file of another one is not gone on with.
  struct Subject: Codable, Equatable {
    /// The form of the file.
    var version = 1
    let deployment: JobID
    let client: String
    /// The data file, and where its samples are.
    let data: AskedFile
    let features: String?
    let rows: Int
    /// Numbers of a row of the result.
    let width: Int
  }

  /// Numbers of questions: that of question `index` is `first`, and so on from there.
  struct Numbering: Codable {
    let index: Int
    let first: Int
    /// The masking key, and the kernel that masked: with others the same number would be of other rows.
    let keyNumber: Int
    let kernel: String
  }

  /// How the samples are cut into questions: decided once.
  struct Cut: Codable {
    let rowsPerQuestion: Int
  }

  private static let magic = Array("partial answers1".utf8)
  private enum Kind: UInt8 { case subject = 1, cut = 2, numbering = 3, answer = 4 }

  private let log: RecordLog
  private let width: Int
  private(set) var cut: Cut?
  private(set) var numbering: Numbering?
  /// Records of answers by the question's index.
  private var answers: [Int: Int] = [:]

  var path: String { log.path }
  /// Questions that are answered, none of them missing before it.
  private(set) var answered = 0

  /// Opens the file of a query that was begun, or begins it.
  ///
  /// - Throws: `OwnerError.run` for a file of another query; `FileError`.
  init(path: String, _ subject: Subject) throws {
    log = try RecordLog(path: path, magic: Self.magic)
    width = subject.width
    for record in 0..<log.count {
      let bytes = try log.bytes(record)
      switch bytes.first.flatMap(Kind.init(rawValue:)) {
      case .subject where record == 0:
        let known: Subject = try decoded(bytes)
        guard known == subject else { throw otherQuery }
      case .cut:
        cut = try decoded(bytes)
        numbering = nil
      case .numbering: numbering = try decoded(bytes)
      case .answer: answers[try Self.index(bytes, or: otherQuery)] = record
      case .subject, nil: throw otherQuery
      }
    }
    if log.count == 0 { try append(.subject, JSONEncoder().encode(subject)) }
    count()
  }

  private var otherQuery: OwnerError {
    .run(
      "\(log.path) holds answers of another query (other data, another deployment or client); delete it, or choose another --out"
    )
  }

  private func decoded<Value: Decodable>(_ bytes: Data) throws -> Value {
    guard let value = try? JSONDecoder().decode(Value.self, from: bytes.dropFirst()) else { throw otherQuery }
    return value
  }

  private static func index(_ bytes: Data, or error: OwnerError) throws(OwnerError) -> Int {
    guard bytes.count >= 9 else { throw error }
    let number = bytes.dropFirst().prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let index = Int(exactly: number), index < 1 << 40 else { throw error }
    return index
  }

  private func count() {
    while answers[answered] != nil { answered += 1 }
  }

  private func append(_ kind: Kind, _ bytes: Data) throws {
    try log.append([kind.rawValue] + bytes)
  }

  /// Before anything is answered; what was numbered under another cut is numbered anew.
  func set(_ cut: Cut) throws {
    try append(.cut, JSONEncoder().encode(cut))
    self.cut = cut
    numbering = nil
  }

  /// Before the first question with these numbers is sent.
  func set(_ numbering: Numbering) throws {
    try append(.numbering, JSONEncoder().encode(numbering))
    self.numbering = numbering
  }

  /// - Parameter values: whole rows of the result.
  func add(_ values: [Float], index: Int) throws {
    var record = withUnsafeBytes(of: UInt64(index).littleEndian) { Data($0) }
    values.withUnsafeBytes { record.append(contentsOf: $0) }
    answers[index] = log.count
    try append(.answer, record)
    count()
  }

  var isEmpty: Bool { answers.isEmpty }

  func isAnswered(_ index: Int) -> Bool { answers[index] != nil }

  /// The rows of an answered question.
  ///
  /// - Throws: `OwnerError.run` where there are none, or not whole rows.
  func values(_ index: Int) throws -> [Float] {
    guard let record = answers[index] else { throw otherQuery }
    let bytes = try log.bytes(record).dropFirst(9)
    guard bytes.count % (width * MemoryLayout<Float>.size) == 0 else { throw otherQuery }
    var values = [Float](repeating: 0, count: bytes.count / MemoryLayout<Float>.size)
    _ = values.withUnsafeMutableBytes { bytes.copyBytes(to: $0) }
    return values
  }

  /// Once the result is whole on the disk.
  func remove() throws {
    try Directory.remove(log.path)
  }
}
