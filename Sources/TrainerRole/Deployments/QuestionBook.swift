import Cryptography
import Protocol

/// What the clients of a deployment have had answered: each question and each token once, however often it is sent.
struct QuestionBook: Sendable, Equatable {
  /// Of each client, the questions whose digests are kept: those with the largest numbers.
  static let questionsKept = 256
  static let sessionsKept = 64

  /// How a question's number stands.
  enum Standing: Equatable {
    case new
    case answered(digest: Digest)
    /// At most as large as one that is no longer kept.
    case forgotten
  }

  private struct Client: Equatable {
    var questions = 0
    var rows = 0
    /// Ascending in `number`.
    var answered: [Answered] = []
    var lastForgotten = 0
    var sessions: [SessionOrder: SessionMarks] = [:]
    var lastForgottenSession = SessionOrder(keyNumber: 0, number: 0)
  }

  private struct Answered: Equatable {
    let number: Int
    let keyNumber: Int
    let digest: Digest
    let rows: Int
  }

  private var clients: [OwnerKey: Client] = [:]
  /// Of all clients, those that are withdrawn included.
  private(set) var questions = 0
  private(set) var rows = 0

  /// Who has asked.
  var askers: Set<OwnerKey> { Set(clients.keys) }

  func questions(of client: OwnerKey) -> Int { clients[client]?.questions ?? 0 }

  func rows(of client: OwnerKey) -> Int { clients[client]?.rows ?? 0 }

  /// The largest number of a question that was answered; 0 for none.
  func lastQuestion(of client: OwnerKey) -> Int {
    guard let known = clients[client] else { return 0 }
    return max(known.answered.last?.number ?? 0, known.lastForgotten)
  }

  /// The largest number of a session that was counted, under any key; 0 for none.
  func lastSession(of client: OwnerKey) -> Int {
    guard let known = clients[client] else { return 0 }
    return max(known.sessions.keys.map(\.number).max() ?? 0, known.lastForgottenSession.number)
  }

  /// A number that was answered under an earlier key is new under the next: its answer may have been lost, and the rows are masked anew.
  func standing(of number: Int, keyNumber: Int, client: OwnerKey) -> Standing {
    guard let known = clients[client] else { return .new }
    if let answered = known.answered.last(where: { $0.number == number }) {
      return answered.keyNumber < keyNumber ? .new : .answered(digest: answered.digest)
    }
    return number > known.lastForgotten ? .new : .forgotten
  }

  /// Nil for a session that is no longer kept; one without tokens for one that has not begun.
  func marks(of session: SessionID) -> SessionMarks? {
    guard let known = clients[session.client] else { return SessionMarks() }
    if let marks = known.sessions[session.order] { return marks }
    return session.order > known.lastForgottenSession ? SessionMarks() : nil
  }

  /// - Returns: false for what cannot follow what was added before.
  mutating func add(_ record: QuestionRecord) -> Bool {
    switch record {
    case .question(let client, let keyNumber, let number, let digest, let rows):
      guard standing(of: number, keyNumber: keyNumber, client: client) == .new else { return false }
      var known = clients.removeValue(forKey: client) ?? Client()
      known.answered.removeAll { $0.number == number }
      let place = known.answered.lastIndex { $0.number < number }.map { $0 + 1 } ?? 0
      known.answered.insert(
        Answered(number: number, keyNumber: keyNumber, digest: digest, rows: rows), at: place)
      if known.answered.count > Self.questionsKept { known.lastForgotten = known.answered.removeFirst().number }
      count(1, rows, in: &known)
      clients[client] = known
    case .session(let id, let tokens, let digest):
      guard var marks = marks(of: id), tokens > marks.tokens else { return false }
      var known = clients.removeValue(forKey: id.client) ?? Client()
      count(1, tokens - marks.tokens, in: &known)
      marks.add(tokens: tokens, digest: digest)
      known.sessions[id.order] = marks
      if known.sessions.count > Self.sessionsKept, let oldest = known.sessions.keys.min() {
        known.sessions[oldest] = nil
        known.lastForgottenSession = oldest
      }
      clients[id.client] = known
    case .total(let client, let questions, let rows, let lastQuestion, let lastSession):
      guard clients[client] == nil else { return false }
      var known = Client()
      (known.lastForgotten, known.lastForgottenSession) = (lastQuestion, lastSession)
      count(questions, rows, in: &known)
      clients[client] = known
    }
    return true
  }

  private mutating func count(_ newQuestions: Int, _ newRows: Int, in client: inout Client) {
    client.questions = Self.sum(client.questions, newQuestions)
    client.rows = Self.sum(client.rows, newRows)
    questions = Self.sum(questions, newQuestions)
    rows = Self.sum(rows, newRows)
  }

  /// Counts come from a file, where they may be anything.
  private static func sum(_ left: Int, _ right: Int) -> Int {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
  }

  /// As few records as lead to this book.
  var records: [QuestionRecord] {
    clients.sorted { $0.key.z85 < $1.key.z85 }.flatMap { client, known in
      let kept = known.answered.map {
        QuestionRecord.question(
          client: client, keyNumber: $0.keyNumber, number: $0.number, digest: $0.digest, rows: $0.rows)
      }
      let sessions = known.sessions.sorted { $0.key < $1.key }.flatMap { order, marks in
        marks.places.map {
          QuestionRecord.session(
            SessionID(client, keyNumber: order.keyNumber, number: order.number), tokens: $0.tokens, digest: $0.digest)
        }
      }
      let keptRows = known.answered.reduce(0) { $0 + $1.rows } + known.sessions.values.reduce(0) { $0 + $1.tokens }
      let total = QuestionRecord.total(
        client: client, questions: max(0, known.questions - kept.count - sessions.count),
        rows: max(0, known.rows - keptRows), lastQuestion: known.lastForgotten, lastSession: known.lastForgottenSession)
      return [total] + kept + sessions
    }
  }
}

/// How far a session has come, and digests of its tokens up to several places, by which tokens that are sent again are known.
struct SessionMarks: Sendable, Equatable {
  struct Place: Sendable, Equatable {
    /// All tokens before this place.
    let tokens: Int
    let digest: Digest
  }

  /// The first ones (a prompt in pieces) and the last (tokens whose answers may have been lost); those between them go.
  private static let kept = 48

  /// Ascending.
  private(set) var places: [Place] = []

  /// Tokens that were counted.
  var tokens: Int { places.last?.tokens ?? 0 }

  mutating func add(tokens: Int, digest: Digest) {
    places.append(Place(tokens: tokens, digest: digest))
    if places.count > Self.kept { places.remove(at: Self.kept / 2) }
  }

  /// The digest of the tokens before a place; nil where it is not kept.
  func digest(before tokens: Int) -> Digest? {
    tokens == 0 ? Self.empty : places.last { $0.tokens == tokens }?.digest
  }

  /// Of no tokens.
  private static let empty = Digest(bytes: [UInt8](repeating: 0, count: SHA256.byteCount))

  /// What the digest of a session's tokens becomes by one more.
  static func digest(_ digest: Digest, followedBy token: UnsafeRawBufferPointer) -> Digest {
    var hash = SHA256()
    hash.update(digest.bytes)
    hash.update(token)
    return hash.finalize()
  }
}
