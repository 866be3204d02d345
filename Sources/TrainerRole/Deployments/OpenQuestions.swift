import Foundations
import Numerics
import Protocol

/// One who may ask, of one deployment.
struct Asker: Hashable, Sendable {
  let deployment: JobID
  let key: OwnerKey
}

/// A question that came and is not answered yet.
struct OpenQuestion<Element: FloatingElement> {
  enum Content: Equatable {
    case ask(number: Int, keyNumber: Int, rows: RowDelivery<Element>)
    case extend(SessionID, position: Int, largest: Int, tokens: Tensor<Element>)

    /// Of the inputs.
    var bytes: Int {
      switch self {
      case .ask(_, _, let rows): rows.values.byteCount
      case .extend(_, _, _, let tokens): tokens.byteCount
      }
    }
  }

  let asker: Asker
  let copy: JobID
  let content: Content
  /// Rows, or tokens, that it will add to those that were seen.
  let newRows: Int
  /// Where the answer goes: the connection on which it was last sent.
  var peer: PeerID
  let arrival: ContinuousClock.Instant
}

/// All questions that are not answered, by ticket: numbers that are given upwards and never twice.
struct OpenQuestions<Element: FloatingElement> {
  private var questions: [Int: OpenQuestion<Element>] = [:]
  private var tickets: [Asker: Set<Int>] = [:]
  /// How many wait for a copy.
  private var ofCopy: [JobID: Int] = [:]
  /// Rows of a deployment's questions.
  private var rows: [JobID: Int] = [:]
  private var lastTicket = 0
  /// Bytes of all inputs.
  private(set) var bytes = 0

  var isEmpty: Bool { questions.isEmpty }

  func count(of asker: Asker) -> Int { tickets[asker]?.count ?? 0 }

  func isWaiting(for copy: JobID) -> Bool { ofCopy[copy] != nil }

  /// Rows that the questions of a deployment will add to those that were seen.
  func newRows(of deployment: JobID) -> Int { rows[deployment] ?? 0 }

  /// - Returns: its ticket.
  mutating func add(_ question: OpenQuestion<Element>) -> Int {
    lastTicket += 1
    questions[lastTicket] = question
    tickets[question.asker, default: []].insert(lastTicket)
    ofCopy[question.copy, default: 0] += 1
    rows[question.asker.deployment, default: 0] += question.newRows
    bytes += question.content.bytes
    return lastTicket
  }

  /// Nil for one that was answered or dropped.
  mutating func remove(_ ticket: Int) -> OpenQuestion<Element>? {
    guard let question = questions.removeValue(forKey: ticket) else { return nil }
    tickets[question.asker]?.remove(ticket)
    if tickets[question.asker]?.isEmpty == true { tickets[question.asker] = nil }
    ofCopy[question.copy] = ofCopy[question.copy].flatMap { $0 > 1 ? $0 - 1 : nil }
    bytes -= question.content.bytes
    let deployment = question.asker.deployment
    rows[deployment] = rows[deployment].flatMap { $0 > question.newRows ? $0 - question.newRows : nil }
    return question
  }

  func tickets(where matches: (OpenQuestion<Element>) -> Bool) -> [Int] {
    questions.filter { matches($0.value) }.map(\.key).sorted()
  }

  /// Of one who asks, the question of that number, or the one that extends that session.
  func ticket(of asker: Asker, where matches: (OpenQuestion<Element>.Content) -> Bool) -> (
    ticket: Int, content: OpenQuestion<Element>.Content
  )? {
    for ticket in tickets[asker] ?? [] {
      if let question = questions[ticket], matches(question.content) { return (ticket, question.content) }
    }
    return nil
  }

  mutating func redirect(_ ticket: Int, to peer: PeerID) {
    questions[ticket]?.peer = peer
  }
}
