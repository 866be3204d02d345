import Foundations

/// Something that a client has sent and whose answer names a number.
protocol NumberedQuestion {
  /// Of the question, or of the session.
  var number: Int { get }
}

/// Questions that are sent and not answered.
struct QuestionWindow<Waiting: NumberedQuestion> {
  let size: Int
  private var waiting: [Waiting] = []
  /// Of `waiting`, how many the host answered by a new key.
  private var refused = 0

  /// - Parameter size: as the host has it; of more than 64 no more are kept in memory.
  init(size: Int) {
    self.size = min(size, 64)
  }

  var isEmpty: Bool { waiting.isEmpty }
  /// While a new key is taken up nothing is sent: what comes in answer to the old one is awaited first.
  var hasRoom: Bool { waiting.count < size && refused == 0 }
  /// Whether everything that is not answered was asked under an older key.
  var isToBeMaskedAgain: Bool { refused > 0 && refused == waiting.count }

  mutating func add(_ question: Waiting) {
    waiting.append(question)
  }

  /// The question that an answer is to; nil for one that nobody waits for.
  mutating func answer(_ number: Int) -> Waiting? {
    guard let place = waiting.firstIndex(where: { $0.number == number }) else { return nil }
    defer { refused = min(refused, waiting.count) }
    return waiting.remove(at: place)
  }

  mutating func noteRefusedKey() {
    refused = min(refused + 1, waiting.count)
  }

  mutating func takeUnanswered() -> [Waiting] {
    defer { (waiting, refused) = ([], 0) }
    return waiting
  }
}

/// A host that has no room for more questions of anybody. It does not say which one it has refused: what is not answered is asked again, the same, once
/// nothing has come for a while, until nothing is answered within the patience.
struct HostRoom {
  private static let pause = Duration.seconds(1)

  private let patience: Duration
  /// Since the first refusal after an answer; nil while there is room.
  private var since: ContinuousClock.Instant?
  private var again: ContinuousClock.Instant?

  init(patience: Duration) {
    self.patience = patience
  }

  /// Whether nothing new is to be asked.
  var isAwaited: Bool { again != nil }

  mutating func noteAnswer(at now: ContinuousClock.Instant = .now) {
    since = nil
    if again != nil { again = now + Self.pause }
  }

  /// - Returns: whether it is the first one.
  /// - Throws: `OwnerError.refused` after the patience.
  mutating func noteRefusal(_ reason: String, at now: ContinuousClock.Instant = .now) throws(OwnerError) -> Bool {
    let isFirst = since == nil
    let begun = since ?? now
    guard begun.duration(to: now) <= patience else {
      throw .refused(kind: .exhausted, reason: reason)
    }
    since = begun
    again = now + Self.pause
    return isFirst
  }

  /// Once for each pause.
  mutating func isToBeAskedAgain(at now: ContinuousClock.Instant = .now) -> Bool {
    guard let again, now >= again else { return false }
    self.again = nil
    return true
  }
}
