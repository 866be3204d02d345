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

  init(size: Int) {
    self.size = size
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
