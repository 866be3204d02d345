import Synchronization
import Tensors
import Wire

/// What runners and the disk worker hand to the service thread, which alone touches the socket.
final class Outbox<Element: FloatingElement>: Sendable {
  enum Item: Sendable {
    case send(JobID, TrainerMessage<Element>)
    case ended(JobID, RunnerOutcome)
    case diskWorkDone(JobID)
    case event(TrainerEvent)
  }

  private let items = Mutex<[Item]>([])
  private let wake: @Sendable () -> Void

  /// - Parameter wake: makes the service look here at once.
  init(wake: @escaping @Sendable () -> Void) {
    self.wake = wake
  }

  func post(_ item: Item) {
    items.withLock { items in
      if !Self.merge(item, into: &items) { items.append(item) }
    }
    wake()
  }

  /// Joins progress to progress of the same job that nobody has taken yet, so that fast steps do not fill an owner's queue.
  private static func merge(_ item: Item, into items: inout [Item]) -> Bool {
    guard case .send(let job, .progress(let from, let records)) = item,
      case .send(job, .progress(let first, var known))? = items.last, first + known.count == from,
      known.count + records.count <= ProgressRecord.largestMessage
    else { return false }
    // Taken out first, so that the records are appended in place.
    items.removeLast()
    known += records
    items.append(.send(job, .progress(from: first, records: known)))
    return true
  }

  func takeAll() -> [Item] {
    items.withLock { items in
      defer { items = [] }
      return items
    }
  }
}
