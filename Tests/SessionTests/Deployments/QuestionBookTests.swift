import Cryptography
import Foundations
import Protocol
import TestSupport
import Testing

@testable import TrainerRole

/// A book that an expectation may change.
private final class Book {
  private(set) var present = QuestionBook()

  func add(_ record: QuestionRecord) -> Bool { present.add(record) }

  func standing(of number: Int, keyNumber: Int, client: OwnerKey) -> QuestionBook.Standing {
    present.standing(of: number, keyNumber: keyNumber, client: client)
  }

  func marks(of session: SessionID) -> SessionMarks? { present.marks(of: session) }

  func rows(of client: OwnerKey) -> Int { present.rows(of: client) }

  func questions(of client: OwnerKey) -> Int { present.questions(of: client) }

  func lastQuestion(of client: OwnerKey) -> Int { present.lastQuestion(of: client) }

  var rows: Int { present.rows }

  var questions: Int { present.questions }

  var records: [QuestionRecord] {
    var records: [QuestionRecord] = []
    present.forEachRecord { records.append($0) }
    return records
  }
}

/// Counting, and the lines that it is written down in.
struct QuestionBookTests {
  private let client: OwnerKey
  private let other: OwnerKey

  init() throws {
    client = try CurveKeyPair.generate().ownerKey
    other = try CurveKeyPair.generate().ownerKey
  }

  private func digest(_ number: Int) -> Digest { SHA256.hash([UInt8(truncatingIfNeeded: number)]) }

  private func question(
    _ number: Int, keyNumber: Int = 1, rows: Int = 2, of asker: OwnerKey? = nil
  ) -> QuestionRecord {
    .question(
      client: asker ?? client, keyNumber: keyNumber, number: number, digest: digest(number + keyNumber - 1), rows: rows)
  }

  private func session(_ number: Int, keyNumber: Int = 1, tokens: Int) -> QuestionRecord {
    .session(SessionID(client, keyNumber: keyNumber, number: number), tokens: tokens, digest: digest(tokens))
  }

  @Test func linesAreReadAsTheyWereWritten() throws {
    let records = [
      question(7, rows: 3), session(8, keyNumber: 9, tokens: 10),
      .total(
        client: other, questions: 1, rows: 1 << 50, lastQuestion: 3,
        lastSession: SessionOrder(keyNumber: 4, number: 5)),
    ]
    for record in records { #expect(QuestionRecord(record.text) == record) }
    let head = QuestionLogHead(owner: client)
    #expect(QuestionLogHead(head.text, version: 2) == head && QuestionLogHead.version(of: head.text) == 2)
  }

  @Test func linesThatAreNone() throws {
    let line = question(7).text
    let words = line.split(separator: " ").map(String.init)
    var bad = ["", " ", "question", line + " ", line + " 1", " " + line, line.dropLast() + "x", line.uppercased()]
    for index in words.indices {
      for word in ["", "-1", "99999999999999999999", "x", "+1", "1e3"] {
        var changed = words
        changed[index] = word
        bad.append(changed.joined(separator: " "))
      }
    }
    // More than is ever counted.
    bad.append((words.dropLast() + ["\((1 << 52) + 1)"]).joined(separator: " "))
    for text in bad { #expect(QuestionRecord(text) == nil, "\(text)") }
    for text in ["", "deployment 2", "deployment 1 \(client.z85)", "deployment 2 x", "deployment 2 \(client.z85) "] {
      #expect(QuestionLogHead(text, version: 2) == nil, "\(text)")
    }
    for text in ["", "deployment", "deployment 02 x", "deployment -1 x", "question 2 x"] {
      #expect(QuestionLogHead.version(of: text) == nil, "\(text)")
    }
  }

  @Test func eachNumberCountsOnce() {
    let book = Book()
    for number in [3, 1, 2] { #expect(book.add(question(number))) }
    #expect(!book.add(question(2)))
    #expect(book.add(question(2, of: other)))
    #expect(book.questions == 4 && book.rows == 8 && book.rows(of: client) == 6 && book.questions(of: other) == 1)
    #expect(book.lastQuestion(of: client) == 3)
    #expect(book.standing(of: 2, keyNumber: 1, client: client) == .answered(digest: digest(2)))
    #expect(book.standing(of: 4, keyNumber: 1, client: client) == .new)
  }

  /// Under the next key it is masked anew: the host sees it once more.
  @Test func aNumberCountsOnceUnderEachKey() {
    let book = Book()
    #expect(book.add(question(5)) && book.add(question(6)))
    #expect(book.standing(of: 5, keyNumber: 2, client: client) == .new)
    #expect(book.add(question(5, keyNumber: 2)))
    #expect(book.rows == 6 && book.questions == 3)
    #expect(book.standing(of: 5, keyNumber: 2, client: client) == .answered(digest: digest(6)))
    #expect(!book.add(question(5, keyNumber: 2)) && !book.add(question(5)))
    let again = Book()
    for record in book.records { #expect(again.add(record)) }
    #expect(again.present == book.present)
  }

  @Test func oldNumbersAreForgotten() {
    let book = Book()
    for number in 1...QuestionBook.questionsKept + 10 { #expect(book.add(question(2 * number))) }
    func standing(_ number: Int) -> QuestionBook.Standing { book.standing(of: number, keyNumber: 1, client: client) }
    #expect(standing(20) == .forgotten && standing(3) == .forgotten && standing(21) == .new)
    #expect(standing(22) == .answered(digest: digest(22)))
    #expect(book.questions == QuestionBook.questionsKept + 10)
  }

  @Test func tokensCountOnce() throws {
    let book = Book()
    #expect(book.add(session(1, tokens: 5)) && book.add(session(1, tokens: 6)))
    #expect(!book.add(session(1, tokens: 6)) && !book.add(session(1, tokens: 4)))
    #expect(book.rows == 6 && book.questions == 2)
    let marks = try #require(book.marks(of: SessionID(client, keyNumber: 1, number: 1)))
    #expect(marks.tokens == 6 && marks.digest(before: 5) == digest(5) && marks.digest(before: 3) == nil)
    // Under another key it is another session.
    #expect(book.add(session(1, keyNumber: 2, tokens: 5)))
    #expect(book.rows == 11)
    // The one that rested longest goes first, whatever its number.
    for number in 2...QuestionBook.sessionsKept { #expect(book.add(session(number, keyNumber: 2, tokens: 1))) }
    #expect(book.marks(of: SessionID(client, keyNumber: 1, number: 1)) == nil)
    #expect(book.marks(of: SessionID(client, keyNumber: 2, number: 1)) != nil)
  }

  /// A long session keeps its first places and its last.
  @Test func placesOfALongSession() throws {
    var marks = SessionMarks()
    for tokens in 1...500 { marks.add(tokens: tokens, digest: digest(tokens)) }
    #expect(marks.tokens == 500 && marks.places.count == 48)
    for tokens in [1, 10, 490, 500] { #expect(marks.digest(before: tokens) == digest(tokens)) }
    #expect(marks.digest(before: 250) == nil)
  }

  /// The log written anew leads to the same book.
  @Test func fewerLinesSayTheSame() {
    let book = Book()
    for number in 1...1000 { _ = book.add(question(number)) }
    for number in 1...100 {
      for tokens in 4...100 { #expect(book.add(session(number, tokens: tokens))) }
      // One that is gone on with all the time, which is older than some that are forgotten.
      #expect(book.add(session(1, keyNumber: 0, tokens: number)))
    }
    #expect(book.add(question(1, of: other)))
    let again = Book()
    for record in book.records { #expect(again.add(record)) }
    #expect(again.present == book.present)
    #expect(book.records.count < 256 + 64 * 48 + 4)
  }

  /// Counts of a file may be anything that is written there.
  @Test func sumsDoNotOverflow() {
    let book = Book()
    for number in 1...5000 {
      _ = book.add(question(number, rows: 1 << 52))
    }
    #expect(book.rows == QuestionNumbers.largest)
    expectReadAgain(book)
  }

  /// What is written down of a book leads to the same book, line by line through the text.
  private func expectReadAgain(_ book: Book, _ location: SourceLocation = #_sourceLocation) {
    let again = Book()
    for record in book.records {
      guard let read = QuestionRecord(record.text) else {
        Issue.record("not read: \(record.text)", sourceLocation: location)
        continue
      }
      #expect(again.add(read), "\(record.text)", sourceLocation: location)
    }
    #expect(again.present == book.present, sourceLocation: location)
  }

  /// Whatever is counted can be read again, in any order and with any number that the wire takes; what cannot be counted changes nothing.
  @Test(arguments: 1...20 as ClosedRange<UInt64>) func whateverIsCountedCanBeReadAgain(_ seed: UInt64) {
    var random = SplitMix(seed: seed)
    let book = Book()
    let log = Book()
    let edges = [1, 2, 255, 256, 257, QuestionNumbers.largest - 1, QuestionNumbers.largest]
    var refused = 0
    for _ in 0..<3000 {
      let number =
        Int.random(in: 0..<10, using: &random) == 0
        ? edges.randomElement(using: &random) ?? 1 : Int.random(in: 1...2000, using: &random)
      let record =
        Bool.random(using: &random)
        ? question(number, keyNumber: Int.random(in: 1...2, using: &random))
        : session(
          number % 200, keyNumber: Int.random(in: 1...2, using: &random), tokens: Int.random(in: 1...40, using: &random)
        )
      let before = book.present
      #expect(before.takes(record) == book.add(record))
      if before == book.present {
        refused += 1
        continue
      }
      // As a restart would read the line that was written.
      #expect(QuestionRecord(record.text).map { log.add($0) } == true, "\(record.text)")
    }
    #expect(refused > 0 && log.present == book.present)
    expectReadAgain(book)
  }

  /// The oldest number may be in use for as long as it is gone on with.
  @Test func aLongSessionBesideManyShortOnes() {
    let book = Book()
    #expect(book.add(session(1, tokens: 5)))
    for number in 2...500 {
      for tokens in 1...3 { #expect(book.add(session(number, tokens: tokens))) }
      #expect(book.add(session(1, tokens: 4 + number)))
    }
    expectReadAgain(book)
    // One that rested is forgotten, and does not begin anew.
    #expect(book.marks(of: SessionID(client, keyNumber: 1, number: 2)) == nil)
    #expect(!book.add(session(2, tokens: 9)) && book.add(session(501, tokens: 1)))
  }

  @Test func latenciesOfTheLastThousand() {
    var latencies = Latencies()
    #expect(latencies.quantile(0.5) == nil)
    latencies.add(.seconds(5))
    #expect(latencies.quantile(0.5) == 5000 && latencies.quantile(0.95) == 5000)
    for number in 1...1000 { latencies.add(.milliseconds(number)) }
    #expect(latencies.quantile(0.5) == 500 && latencies.quantile(0.95) == 950 && latencies.quantile(1) == 1000)
  }
}
