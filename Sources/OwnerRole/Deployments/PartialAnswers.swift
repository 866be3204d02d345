import Files
import Foundation
import Foundations
import Numerics

/// What a query has had answered so far, in a file beside the one that it is to become: a query that ends early goes on there.
///
/// A record log: first which question it is, then in any order what the questions' noise is drawn from, which numbers they have from which on,
/// and the outputs of each one that is answered, unmasked. Its user's alone (0600).
final class PartialAnswers {
  /// Where it is kept.
  enum Place {
    /// Under a name, to be gone on with.
    case file(String)
    /// Without one, in a directory: gone with the process, however that ends.
    case unnamed(in: String)
  }

  /// Which query the answers are of: a file of another one is not gone on with.
  struct Subject: Codable, Equatable {
    /// The form of the file. 1 has no `draw`, and rows of tokens as the result has them; its answers are taken over.
    static let versions = 1...2

    var version = 2
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

    var isPossible: Bool {
      (0...PartialAnswers.largestIndex).contains(index) && (1...ClientDirectory.largestNumber).contains(first)
    }
  }

  /// What noise and order of tokens are drawn from, for all questions of this query: the rows of a question that is masked again, under another
  /// number or key, are the same rows with the same noise. A host that could have it drawn anew would average it away.
  struct Draw: Codable {
    /// Above the numbers of questions and sessions, so that no other is drawn from the same.
    private static let numbers = (1 << 53)...(1 << 62)

    let number: Int

    static func random() -> Draw { Draw(number: .random(in: numbers)) }

    var isPossible: Bool { Self.numbers.contains(number) }
  }

  /// How the samples are cut into questions: decided once.
  struct Cut: Codable {
    let rowsPerQuestion: Int

    fileprivate var isPossible: Bool { (1...(1 << 30)).contains(rowsPerQuestion) }
  }

  private static let magic = Array("partial answers1".utf8)
  private static let largestIndex = 1 << 31
  private enum Kind: UInt8 { case subject = 1, cut = 2, numbering = 3, answer = 4, draw = 5, tokens = 6 }
  /// Kind and index of an answer.
  private static let headBytes = 9
  /// Answers that a power cut may take. They are asked for again, and with the 64 that may be unanswered they are fewer than the 256 of a client that
  /// a host knows again.
  private static let mostInMemory = 128

  private let log: RecordLog
  private let width: Int
  /// Numbers of one output.
  private let outputs: Int
  private(set) var draw: Draw
  private(set) var cut: Cut?
  private(set) var numbering: Numbering?
  /// Records of answers by the question's index.
  private var answers: [Int: (record: Int, kind: Kind)] = [:]
  /// Answers since the last that is known to be on the disk.
  private var answersInMemory = 0

  var path: String { log.path }
  /// Questions that are answered, none of them missing before it.
  private(set) var answered = 0

  /// Opens the file of a query that was begun, or begins it.
  ///
  /// - Parameter outputs: numbers of one output, of which a row has one, or one for each of its columns.
  /// - Throws: `OwnerError.run` for a file of another query; `FileError`.
  init(_ place: Place, _ subject: Subject, outputs: Int) throws {
    switch place {
    case .file(let path): log = try RecordLog(path: path, magic: Self.magic)
    case .unnamed(let directory): log = try RecordLog(unnamedIn: directory, magic: Self.magic)
    }
    width = subject.width
    self.outputs = outputs
    draw = .random()
    var isDrawn = false
    for record in 0..<log.count {
      let head = try log.bytes(record, first: Self.headBytes)
      guard let kind = head.first.flatMap(Kind.init(rawValue:)), (kind == .subject) == (record == 0) else {
        throw otherQuery
      }
      switch kind {
      case .subject:
        var known: Subject = try decoded(record)
        guard Subject.versions.contains(known.version) else { throw otherQuery }
        known.version = subject.version
        guard known == subject else { throw otherQuery }
      case .draw:
        draw = try decoded(record)
        guard draw.isPossible else { throw otherQuery }
        isDrawn = true
      case .cut:
        let found: Cut = try decoded(record)
        guard found.isPossible else { throw otherQuery }
        (cut, numbering) = (found, nil)
      case .numbering:
        let found: Numbering = try decoded(record)
        guard found.isPossible else { throw otherQuery }
        // What was numbered before has other noise.
        if isDrawn { numbering = found }
      case .answer, .tokens: answers[try index(head)] = (record, kind)
      }
    }
    if log.count == 0 { try append(.subject, JSONEncoder().encode(subject)) }
    if !isDrawn { try append(.draw, JSONEncoder().encode(draw)) }
    count()
  }

  private var otherQuery: OwnerError {
    .run(
      "\(log.path) holds answers of another query (other data, another deployment or client); delete it, or choose another --out"
    )
  }

  private func decoded<Value: Decodable>(_ record: Int) throws -> Value {
    guard let value = try? JSONDecoder().decode(Value.self, from: try log.bytes(record).dropFirst()) else {
      throw otherQuery
    }
    return value
  }

  private func index(_ head: Data) throws(OwnerError) -> Int {
    guard head.count == Self.headBytes else { throw otherQuery }
    let number = head.dropFirst().reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let index = Int(exactly: number), index <= Self.largestIndex else { throw otherQuery }
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

  /// Before the first question with these numbers is sent. Numbers and what noise is drawn from are on the disk then: after a power cut the same
  /// questions are asked.
  func set(_ numbering: Numbering) throws {
    try append(.numbering, JSONEncoder().encode(numbering))
    try log.sync()
    self.numbering = numbering
  }

  /// - Parameters:
  ///   - rows: samples of the question; those whose outputs have columns are kept without those of the padding.
  ///   - values: [outputs of all of them, outputs], unmasked.
  func add<Element: FloatingElement>(_ rows: [PredictedRow], _ values: Tensor<Element>, index: Int) throws {
    var record = withUnsafeBytes(of: UInt64(index).littleEndian) { Data($0) }
    let kind = rows.contains { !$0.columns.isEmpty } ? Kind.tokens : .answer
    if kind == .tokens { record.append(AnsweredTokens.encode(rows)) }
    values.elements.map { Float($0) }.withUnsafeBytes { record.append(contentsOf: $0) }
    answers[index] = (log.count, kind)
    try append(kind, record)
    count()
    answersInMemory += 1
    if answersInMemory >= Self.mostInMemory {
      try log.sync()
      answersInMemory = 0
    }
  }

  /// Whether a power cut leaves all of it.
  var isOnDisk: Bool { log.isOnDisk }

  var isEmpty: Bool { answers.isEmpty }

  func isAnswered(_ index: Int) -> Bool { answers[index] != nil }

  /// Hands out the rows of an answered question as the result has them: whole rows, as many at a time as there is room for.
  ///
  /// - Throws: `OwnerError.run` where there are none, or not whole rows; what `body` throws.
  func forEachRows(of index: Int, _ body: ([Float]) throws -> Void) throws {
    guard let (record, kind) = answers[index] else { throw otherQuery }
    let bytes = try log.bytes(record).dropFirst(Self.headBytes)
    if kind == .tokens {
      guard let tokens = AnsweredTokens(bytes, outputs: outputs, columns: width / max(1, outputs)) else {
        throw otherQuery
      }
      return try tokens.forEachRow(body)
    }
    guard bytes.count % (width * MemoryLayout<Float>.size) == 0 else { throw otherQuery }
    try body(Self.floats(bytes))
  }

  fileprivate static func floats(_ bytes: Data) -> [Float] {
    var values = [Float](repeating: 0, count: bytes.count / MemoryLayout<Float>.size)
    _ = values.withUnsafeMutableBytes { bytes.copyBytes(to: $0) }
    return values
  }

  /// Once the result is whole on the disk.
  func remove() throws {
    try log.remove()
  }
}

extension PartialAnswers.Subject {
  private enum KeysBefore: CodingKey { case bytes, changed }

  /// Files of the version before may have the path alone as `data`, with the rest beside it.
  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    if let path = try? values.decode(String.self, forKey: .data) {
      let others = try decoder.container(keyedBy: KeysBefore.self)
      data = AskedFile(
        path: path, bytes: try others.decode(Int.self, forKey: .bytes),
        changed: try others.decode(Double.self, forKey: .changed))
    } else {
      data = try values.decode(AskedFile.self, forKey: .data)
    }
    version = try values.decode(Int.self, forKey: .version)
    deployment = try values.decode(JobID.self, forKey: .deployment)
    client = try values.decode(String.self, forKey: .client)
    features = try values.decodeIfPresent(String.self, forKey: .features)
    rows = try values.decode(Int.self, forKey: .rows)
    width = try values.decode(Int.self, forKey: .width)
  }
}

/// Outputs of samples of tokens: of each sample how many there are (4 bytes, little-endian) and the column of each (4 bytes), behind the number of
/// samples (4 bytes); then the numbers of all.
private struct AnsweredTokens {
  private let samples: [[Int]]
  private let values: [Float]
  private let outputs: Int
  private let columns: Int

  static func encode(_ rows: [PredictedRow]) -> Data {
    let numbers = [rows.count] + rows.flatMap { [$0.columns.count] + $0.columns }
    return numbers.reduce(into: Data()) { bytes, number in
      withUnsafeBytes(of: UInt32(truncatingIfNeeded: number).littleEndian) { bytes.append(contentsOf: $0) }
    }
  }

  /// Nil for what is no such record.
  init?(_ bytes: Data, outputs: Int, columns: Int) {
    (self.outputs, self.columns) = (outputs, columns)
    var rest = bytes
    func number() -> Int? {
      guard rest.count >= 4 else { return nil }
      defer { rest = rest.dropFirst(4) }
      return Int(rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }
    guard let count = number(), count <= bytes.count / 4 else { return nil }
    var samples: [[Int]] = []
    for _ in 0..<count {
      guard let tokens = number(), tokens <= rest.count / 4 else { return nil }
      let places = (0..<tokens).compactMap { _ in number() }
      guard places.count == tokens, places.allSatisfy({ $0 < columns }) else { return nil }
      samples.append(places)
    }
    let due = samples.reduce(0) { $0 + $1.count }.multipliedReportingOverflow(by: outputs)
    guard !due.overflow, due.partialValue == rest.count / MemoryLayout<Float>.size, rest.count % 4 == 0 else {
      return nil
    }
    self.samples = samples
    values = PartialAnswers.floats(rest)
  }

  /// A row has outputs for all columns: NaN where there is no token.
  func forEachRow(_ body: ([Float]) throws -> Void) throws {
    var next = 0
    for places in samples {
      var row = [Float](repeating: .nan, count: columns * outputs)
      for place in places {
        row.replaceSubrange(place * outputs..<(place + 1) * outputs, with: values[next..<next + outputs])
        next += outputs
      }
      try body(row)
    }
  }
}
