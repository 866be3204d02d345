import Foundations
import Numerics
import Protocol

/// Which questions may be computed now, so that answers do not pile up: at the worker within a limit for all of them, and for each client
/// no more than it has read the answers before. The others wait, in the order in which they came.
///
/// How much a connection has not read the network says, not the client: one that never reads gets no more than its limit.
struct AnswerCredit<Element: FloatingElement> {
  private struct Waiting {
    let task: InferenceTask<Element>
    let asker: Asker
    /// Of the answer.
    let bytes: Int
  }

  /// Bytes of answers that the worker may have to make, and that wait to be sent; one alone may have more.
  private let limit: Int
  /// Bytes of answers that one client may have at the worker and unread.
  private let clientLimit: Int
  private var waiting: [Waiting] = []
  private var computed: [Int: (asker: Asker, bytes: Int)] = [:]
  private var bytesOf: [Asker: Int] = [:]
  private var bytes = 0

  /// - Parameters:
  ///   - limit: bytes for all clients.
  ///   - largestAnswer: bytes; a client may have two of them.
  init(limit: Int, largestAnswer: Int) {
    self.limit = limit
    clientLimit = 2 * largestAnswer
  }

  mutating func add(_ task: InferenceTask<Element>, of asker: Asker, answerBytes: Int) {
    waiting.append(Waiting(task: task, asker: asker, bytes: answerBytes))
  }

  /// Takes out of the line what may be computed now.
  ///
  /// - Parameter unread: bytes of answers to a client that it has not read.
  mutating func next(unread: (Asker) -> Int) -> [InferenceTask<Element>] {
    var found: [InferenceTask<Element>] = []
    var left: [Waiting] = []
    var blocked: Set<Asker> = []
    var known: [Asker: Int] = [:]
    for (place, entry) in waiting.enumerated() {
      guard bytes == 0 || entry.bytes <= limit - bytes else {
        left += waiting[place...]
        break
      }
      let own = bytesOf[entry.asker, default: 0]
      let unreadNow = known[entry.asker] ?? unread(entry.asker)
      known[entry.asker] = unreadNow
      guard !blocked.contains(entry.asker), entry.bytes <= clientLimit - own - min(unreadNow, clientLimit) else {
        // Its later ones do not pass it.
        blocked.insert(entry.asker)
        left.append(entry)
        continue
      }
      computed[entry.task.ticket] = (entry.asker, entry.bytes)
      bytesOf[entry.asker] = own + entry.bytes
      bytes += entry.bytes
      found.append(entry.task)
    }
    waiting = left
    return found
  }

  /// Answered, or not to be any more.
  mutating func end(_ ticket: Int) {
    if let (asker, count) = computed.removeValue(forKey: ticket) {
      bytes -= count
      bytesOf[asker] = bytesOf[asker].flatMap { $0 > count ? $0 - count : nil }
    } else {
      waiting.removeAll { $0.task.ticket == ticket }
    }
  }
}
