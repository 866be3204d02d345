package import Foundations
package import Protocol
import Synchronization

/// What runners and the disk worker hand to the service thread, which alone touches the socket.
package final class Outbox<Answer: Sendable, RoleEvent: Sendable>: Sendable {
  package enum Item: Sendable {
    /// To the connection that the job belongs to at the time.
    case send(JobID, Answer)
    /// About a job, to a certain connection; dropped where that is gone.
    case answer(Answer, job: JobID, to: PeerID)
    case ended(JobID, RunnerOutcome)
    case diskWorkDone(JobID)
    /// For `JobHandler.takeWork`.
    case roleWork
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
  /// Saved after `step` steps because others wait; it goes to the end of the line.
  case turnEnded(step: Int)
  case finished(steps: Int)
  /// `resumable` when the saved state is good and the cause may pass (a full disk); false when repeating would fail again.
  case failed(ServiceError, resumable: Bool)
  case cancelled
}

/// What a server does, for its log. Owners appear by the first characters of their public key.
package enum ServiceEvent<Role: Sendable>: Sendable {
  case jobStarted(job: JobID, step: Int)
  case jobQueued(job: JobID, position: Int)
  /// The job stopped before its end and can be resumed.
  case jobPaused(job: JobID, step: Int, reason: String)
  /// The server is to stop, and the job's step or checkpoint takes its time.
  case stopAwaited(job: JobID, seconds: Int)
  case jobFinished(job: JobID, steps: Int)
  case jobRemoved(job: JobID, reason: String)
  case jobFailed(job: JobID, reason: String)
  case ownerGreeted(owner: String, software: String)
  case ownerSilent(owner: String, job: JobID)
  /// The owner is no longer listed; its job, if it ran, stops at the end of a step and is kept.
  case ownerRemoved(owner: String, job: JobID)
  /// A message, a job or a peer was turned away; `job` is `none` where it is about no job.
  case refused(owner: String?, job: JobID, reason: String)
  /// What this kind of server alone does.
  case role(Role)
}
