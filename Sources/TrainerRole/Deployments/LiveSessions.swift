import Cryptography
import Foundations
import Models
import Numerics
import Protocol
import Service
import Training

/// Tokens that go on with a session.
struct SessionStep<Element: FloatingElement>: Sendable {
  let asker: Asker
  let id: SessionID
  /// Of the first of `tokens` in the session.
  let position: Int
  /// How many outputs are wanted, 0 for all.
  let largest: Int
  /// [n, width], n at least 1.
  let tokens: Tensor<Element>
  /// What was counted of the session before.
  let marks: SessionMarks

  func key(of copy: HostedCopy) -> LiveSessions<Element>.Key {
    LiveSessions<Element>.Key(copy: copy.job.id, asker: asker, id: id)
  }

  /// Compares tokens that were counted before with those that come again.
  ///
  /// - Returns: what is to be counted: nil where all were.
  /// - Throws: `SessionStepProblem` where the tokens before are no longer known; `ServiceError` for other tokens than before.
  func newPlace() throws -> SessionMarks.Place? {
    guard var digest = marks.digest(before: position) else { throw SessionStepProblem() }
    let end = position + tokens.rows
    var due = marks.places.filter { $0.tokens > position && $0.tokens <= end }[...]
    if end < marks.tokens, due.last?.tokens != end {
      throw ServiceError.refused(
        "tokens of a session that are sent again must end where they ended before", cause: .otherRows)
    }
    try tokens.withUnsafeBufferPointer { elements in
      let bytes = UnsafeRawBufferPointer(elements)
      let length = tokens.columns * MemoryLayout<Element>.stride
      for token in 0..<tokens.rows {
        digest = SessionMarks.digest(
          digest, followedBy: UnsafeRawBufferPointer(rebasing: bytes[(token * length)..<((token + 1) * length)]))
        guard let place = due.first, place.tokens == position + token + 1 else { continue }
        guard place.digest == digest else { throw ServiceError.otherRows("session \(id.order.number)") }
        due.removeFirst()
      }
    }
    return end > marks.tokens ? SessionMarks.Place(tokens: end, digest: digest) : nil
  }

  /// - Parameter outputs: of the last token, [1, outputs].
  func outcome(of outputs: Tensor<Element>, place: SessionMarks.Place?) -> InferenceResult<Element>.Outcome {
    let end = position + tokens.rows
    guard largest > 0, largest < outputs.columns else {
      return .extended(outputs, indices: Tensor(zeros: [0]), place: place, tokens: end)
    }
    let (values, columns) = outputs.largest(largest)
    return .extended(values, indices: columns.reshaped([largest]), place: place, tokens: end)
  }
}

/// The session is to be sent again from its beginning.
struct SessionStepProblem: Error {}

extension ServiceError {
  /// - Parameter what: came again, with other rows.
  static func otherRows(_ what: String) -> ServiceError {
    ServiceError.refused(
      "\(what) was asked before with other rows; two programs may be working with one client directory: use one at a time",
      cause: .otherRows)
  }
}

/// The masked keys and values of texts that are being generated. On the inference thread alone; never on disk.
struct LiveSessions<Element: FloatingElement> {
  struct Key: Hashable, Sendable {
    let copy: JobID
    let asker: Asker
    let id: SessionID
  }

  private struct Session {
    let cache: GenerationCache<Element>
    var lastUse: Int
    var time: ContinuousClock.Instant
  }

  /// After which a session that nobody goes on with may go.
  private static var idleLimit: Duration { .seconds(600) }

  private var sessions: [Key: Session] = [:]
  /// For want of memory, or because nobody went on with them.
  private(set) var dropped = 0

  var count: Int { sessions.count }

  var bytes: Int { sessions.values.reduce(0) { $0 + $1.cache.bytes } }

  /// The cache as it was before a step's tokens; nil where it is not here, or not up to them.
  mutating func open(
    _ step: SessionStep<Element>, key: Key, of model: HostedModel<Element>, graph: ModelGraph, use: Int
  ) throws -> GenerationCache<Element>? {
    if step.position == 0 {
      sessions[key] = Session(
        cache: try model.makeCache(capacity: graph.maximumTokens ?? 0), lastUse: use, time: .now)
    }
    guard let cache = sessions[key]?.cache, cache.count >= step.position else { return nil }
    sessions[key]?.lastUse = use
    sessions[key]?.time = .now
    cache.truncate(to: step.position)
    return cache
  }

  /// Bytes that a cache takes more with so many more tokens.
  func growth(of cache: GenerationCache<Element>, by tokens: Int) throws -> Int {
    guard let needed = cache.bytesNeeded(tokens: cache.count + tokens) else {
      throw TrainingError.tooLarge
    }
    return max(0, needed - cache.bytes)
  }

  func leastRecentlyUsed(except keys: Set<Key>) -> (key: Key, lastUse: Int)? {
    sessions.lazy.filter { !keys.contains($0.key) }.min { $0.value.lastUse < $1.value.lastUse }
      .map { ($0.key, $0.value.lastUse) }
  }

  mutating func drop(_ key: Key) {
    if sessions.removeValue(forKey: key) != nil { dropped += 1 }
  }

  mutating func end(where matches: (Key) -> Bool) {
    for key in sessions.keys where matches(key) { sessions[key] = nil }
  }

  mutating func expire(now: ContinuousClock.Instant = .now) {
    for (key, session) in sessions where session.time.duration(to: now) > Self.idleLimit { drop(key) }
  }
}
