package import Protocol
import Synchronization

/// What runners and the disk worker hand to the service thread, which alone touches the socket.
package final class Outbox<Answer: Sendable, RoleEvent: Sendable>: Sendable {
  package enum Item: Sendable {
    /// To the connection that the job belongs to at the time.
    case send(JobID, Answer)
    case ended(JobID, RunnerOutcome)
    case diskWorkDone(JobID)
    case event(ServiceEvent<RoleEvent>)
  }

  /// Joins a message to the one before it of the same job, which nobody has taken yet, where that is possible.
  package typealias Merge = @Sendable (_ later: Answer, _ earlier: inout Answer) -> Bool

  private let items = Mutex<[Item]>([])
  private let merge: Merge
  private let wake: @Sendable () -> Void

  /// - Parameters:
  ///   - merge: returns false, with `earlier` as it was, for messages that are sent one by one.
  ///   - wake: makes the service look here at once.
  package init(merge: @escaping Merge = { _, _ in false }, wake: @escaping @Sendable () -> Void) {
    self.merge = merge
    self.wake = wake
  }

  package func post(_ item: Item) {
    items.withLock { items in
      if !joins(item, to: &items) { items.append(item) }
    }
    wake()
  }

  /// So that fast steps do not fill an owner's queue.
  private func joins(_ item: Item, to items: inout [Item]) -> Bool {
    guard case .send(let job, let later) = item, case .send(job, _)? = items.last,
      // Taken out, so that it is changed in place.
      case .send(_, var earlier)? = items.popLast()
    else { return false }
    let isJoined = merge(later, &earlier)
    items.append(.send(job, earlier))
    return isJoined
  }

  package func takeAll() -> [Item] {
    items.withLock { items in
      defer { items = [] }
      return items
    }
  }
}

/// How a job's runner ended.
package enum RunnerOutcome: Sendable {
  /// Saved after `step` steps; can be resumed.
  case paused(step: Int, reason: String)
  case finished(steps: Int)
  /// `resumable` when the saved state is good and the cause may pass (a full disk); false when repeating would fail again.
  case failed(ServiceError, resumable: Bool)
  case cancelled
}
