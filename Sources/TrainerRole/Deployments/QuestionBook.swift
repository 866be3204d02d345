import Cryptography
import Protocol

/// What the clients of a deployment have had answered: each question and each token once, however often it is sent.
struct QuestionBook: Sendable, Equatable {
  /// Of each client, the questions whose digests are kept: those with the largest numbers.
  static let questionsKept = 256
  /// Of each client, the sessions whose marks are kept: those that were extended last, so that a long text stays however many short ones
  /// begin beside it.
  static let sessionsKept = 64

  /// Which session goes when there are more than are kept.
  enum SessionRule: Sendable {
    /// The one that was extended longest ago.
    case longestUnused
    /// As logs of version 1 were written.
    case smallestNumber
  }

  /// How a question's number stands.
  enum Standing: Equatable {
    case new
    case answered(digest: Digest)
    /// At most as large as one that is no longer kept.
    case forgotten
  }

  fileprivate struct Client: Equatable {
    var questions = 0
    var rows = 0
    /// Ascending in `number`.
    var answered: [Answered] = []
    var lastForgotten = 0
    /// The one that was extended last is the last.
    var sessions: [Session] = []
    /// The largest of those that are not kept.
    var lastForgottenSession = SessionOrder(keyNumber: 0, number: 0)

    var hasForgotten: Bool { lastForgotten > 0 || lastForgottenSession > SessionOrder(keyNumber: 0, number: 0) }

    func session(_ order: SessionOrder) -> SessionMarks? {
      sessions.last { $0.order == order }?.marks
    }
  }

  fileprivate struct Session: Equatable {
    let order: SessionOrder
    var marks: SessionMarks
  }

  fileprivate struct Answered: Equatable {
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
  var askers: some Collection<OwnerKey> { clients.keys }

  func hasAsked(_ client: OwnerKey) -> Bool { clients[client] != nil }

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
    return max(known.sessions.map(\.order.number).max() ?? 0, known.lastForgottenSession.number)
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
    if let marks = known.session(session.order) { return marks }
    return session.order > known.lastForgottenSession ? SessionMarks() : nil
  }

  /// Whether a record can follow what was added before.
  func takes(_ record: QuestionRecord) -> Bool {
    switch record {
    case .question(let client, let keyNumber, let number, _, _):
      standing(of: number, keyNumber: keyNumber, client: client) == .new
    case .session(let id, let tokens, _): marks(of: id).map { tokens > $0.tokens } ?? false
    // Once for each client: a kept session may be older than one that is not, and its lines come before this one.
    case .total(let client, _, _, _, _): clients[client].map { !$0.hasForgotten } ?? true
    }
  }

  /// - Returns: false for what cannot follow what was added before; nothing is changed then.
  mutating func add(_ record: QuestionRecord, rule: SessionRule = .longestUnused) -> Bool {
    guard takes(record) else { return false }
    // Taken out, so that it is changed in place.
    var known = clients.removeValue(forKey: record.client) ?? Client()
    defer { clients[record.client] = known }
    switch record {
    case .question(_, let keyNumber, let number, let digest, let rows):
      known.answered.removeAll { $0.number == number }
      let place = known.answered.lastIndex { $0.number < number }.map { $0 + 1 } ?? 0
      known.answered.insert(
        Answered(number: number, keyNumber: keyNumber, digest: digest, rows: rows), at: place)
      if known.answered.count > Self.questionsKept { known.lastForgotten = known.answered.removeFirst().number }
      count(1, rows, in: &known)
    case .session(let id, let tokens, let digest):
      let place = known.sessions.lastIndex { $0.order == id.order }
      var session = place.map { known.sessions.remove(at: $0) } ?? Session(order: id.order, marks: SessionMarks())
      count(1, tokens - session.marks.tokens, in: &known)
      session.marks.add(tokens: tokens, digest: digest)
      known.sessions.append(session)
      if known.sessions.count > Self.sessionsKept { known.forgetSession(rule) }
    case .total(_, let questions, let rows, let lastQuestion, let lastSession):
      (known.lastForgotten, known.lastForgottenSession) = (lastQuestion, lastSession)
      count(questions, rows, in: &known)
    }
    return true
  }

  private mutating func count(_ newQuestions: Int, _ newRows: Int, in client: inout Client) {
    client.questions = Self.sum(client.questions, newQuestions)
    client.rows = Self.sum(client.rows, newRows)
    questions = Self.sum(questions, newQuestions)
    rows = Self.sum(rows, newRows)
  }

  /// Counts come from a file, where they may be anything; one that is too large to be read again is the largest that is.
  private static func sum(_ left: Int, _ right: Int) -> Int {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? QuestionNumbers.largest : min(sum, QuestionNumbers.largest)
  }

  /// As few records as lead to this book, client by client.
  func forEachRecord<Failure: Error>(_ body: (QuestionRecord) throws(Failure) -> Void) throws(Failure) {
    for client in clients.keys.sorted(by: { $0.z85 < $1.z85 }) {
      for record in records(of: client) { try body(record) }
    }
  }

  private func records(of client: OwnerKey) -> [QuestionRecord] {
    guard let known = clients[client] else { return [] }
    let kept = known.answered.map {
      QuestionRecord.question(
        client: client, keyNumber: $0.keyNumber, number: $0.number, digest: $0.digest, rows: $0.rows)
    }
    let sessions = known.sessions.flatMap { session in
      session.marks.places.map {
        QuestionRecord.session(
          SessionID(client, keyNumber: session.order.keyNumber, number: session.order.number), tokens: $0.tokens,
          digest: $0.digest)
      }
    }
    let keptRows =
      known.answered.reduce(0) { $0 + $1.rows } + known.sessions.reduce(0) { $0 + $1.marks.tokens }
    let total = QuestionRecord.total(
      client: client, questions: max(0, known.questions - kept.count - sessions.count),
      rows: max(0, known.rows - keptRows), lastQuestion: known.lastForgotten, lastSession: known.lastForgottenSession)
    return kept + sessions + [total]
  }
}

extension QuestionBook.Client {
  fileprivate mutating func forgetSession(_ rule: QuestionBook.SessionRule) {
    let place =
      switch rule {
      case .longestUnused: 0
      case .smallestNumber: sessions.indices.min { sessions[$0].order < sessions[$1].order } ?? 0
      }
    lastForgottenSession = max(lastForgottenSession, sessions.remove(at: place).order)
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
