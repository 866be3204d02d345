import Cryptography
import Foundations
import Numerics
import Protocol

typealias Digest = SHA256.Digest

/// Something that was counted, and what of it must be known to count it once: a line of a deployment's log of questions, before the check
/// that `CheckedLine` puts behind it.
///
/// Words between single spaces; keys as z85, digests in hexadecimal. The first line is a `QuestionLogHead`.
enum QuestionRecord: Equatable, Sendable {
  /// `question KEY KEYNUMBER NUMBER DIGEST ROWS`: an answered question; the digest is that of its masked rows.
  case question(client: OwnerKey, keyNumber: Int, number: Int, digest: Digest, rows: Int)
  /// `session KEY KEYNUMBER SESSION TOKENS DIGEST`: a session has come to so many tokens; the digest is that of all of them.
  case session(SessionID, tokens: Int, digest: Digest)
  /// `total KEY QUESTIONS ROWS LASTQUESTION LASTKEYNUMBER LASTSESSION`: of a client, what the log no longer has lines of, and the largest
  /// number of a question, and key and number of a session, that are among them.
  case total(client: OwnerKey, questions: Int, rows: Int, lastQuestion: Int, lastSession: SessionOrder)

  var client: OwnerKey {
    switch self {
    case .question(let client, _, _, _, _), .total(let client, _, _, _, _): client
    case .session(let id, _, _): id.client
    }
  }

  var text: String {
    switch self {
    case .question(let client, let keyNumber, let number, let digest, let rows):
      "question \(client.z85) \(keyNumber) \(number) \(digest.bytes.hexadecimal) \(rows)"
    case .session(let id, let tokens, let digest):
      "session \(id.client.z85) \(id.order.keyNumber) \(id.order.number) \(tokens) \(digest.bytes.hexadecimal)"
    case .total(let client, let questions, let rows, let lastQuestion, let lastSession):
      "total \(client.z85) \(questions) \(rows) \(lastQuestion) \(lastSession.keyNumber) \(lastSession.number)"
    }
  }

  /// Nil for a line that is none.
  init?(_ line: String) {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count >= 6, let client = OwnerKey(z85: String(words[1])) else { return nil }
    switch (words[0], words.count) {
    case ("question", 6):
      guard let keyNumber = Self.number(words[2]), let number = Self.number(words[3]),
        let digest = Digest(hexadecimal: words[4]), let rows = Self.number(words[5])
      else { return nil }
      self = .question(client: client, keyNumber: keyNumber, number: number, digest: digest, rows: rows)
    case ("session", 6):
      guard let keyNumber = Self.number(words[2]), let session = Self.number(words[3]),
        let tokens = Self.number(words[4]), let digest = Digest(hexadecimal: words[5])
      else { return nil }
      self = .session(SessionID(client, keyNumber: keyNumber, number: session), tokens: tokens, digest: digest)
    case ("total", 7):
      let numbers = words[2...].compactMap(Self.number)
      guard numbers.count == 5 else { return nil }
      self = .total(
        client: client, questions: numbers[0], rows: numbers[1], lastQuestion: numbers[2],
        lastSession: SessionOrder(keyNumber: numbers[3], number: numbers[4]))
    default: return nil
    }
  }

  private static func number(_ word: Substring) -> Int? {
    guard (1...16).contains(word.utf8.count), word.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = Int(word), number <= QuestionNumbers.largest
    else { return nil }
    return number
  }
}

/// The first line of a log of questions: `deployment 2 OWNER`. The owner is here, too, so that it can mend a deployment whose description
/// is damaged.
struct QuestionLogHead: Equatable {
  /// Of logs that are written. Lines of version 1 have no check, and sessions left their books by another rule; they are read.
  static let version = 2

  let owner: OwnerKey

  var text: String { "deployment \(Self.version) \(owner.z85)" }

  init(owner: OwnerKey) {
    self.owner = owner
  }

  /// - Returns: nil for another line.
  init?(_ text: String, version: Int) {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == "deployment", words[1] == "\(version)",
      let owner = OwnerKey(z85: String(words[2]))
    else { return nil }
    self.owner = owner
  }

  /// The version that a log's first line names, of whatever version it is; nil for a line that names none.
  static func version(of line: String) -> Int? {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == "deployment", let version = Int(words[1]), "\(version)" == words[1],
      version >= 1
    else { return nil }
    return version
  }
}

/// Which of a client's sessions: they are numbered upwards under each of the deployment's keys.
struct SessionOrder: Hashable, Comparable, Sendable {
  let keyNumber: Int
  let number: Int

  static func < (left: SessionOrder, right: SessionOrder) -> Bool {
    (left.keyNumber, left.number) < (right.keyNumber, right.number)
  }
}

/// A session of one deployment.
struct SessionID: Hashable, Sendable {
  let client: OwnerKey
  let order: SessionOrder

  init(_ client: OwnerKey, keyNumber: Int, number: Int) {
    self.client = client
    order = SessionOrder(keyNumber: keyNumber, number: number)
  }
}

extension Digest {
  /// Nil unless the text is 64 lower-case hexadecimal digits.
  fileprivate init?(hexadecimal text: Substring) {
    guard let bytes = [UInt8](hexadecimal: text), bytes.count == SHA256.byteCount, bytes.hexadecimal == text else {
      return nil
    }
    self.init(bytes: bytes)
  }
}

extension RowDelivery {
  /// Of everything that the answer depends on: values, and how they are divided into samples.
  var digest: Digest {
    var hash = SHA256()
    hash.update(lengths.bytes)
    hash.update(pooled.bytes)
    hash.update(values.bytes)
    return hash.finalize()
  }
}
