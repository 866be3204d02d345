import Collectives
import Foundation
import Numerics
import Protocol
import Service

/// A bounded queue of messages to one runner.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class Inbox<Element: FloatingElement>: @unchecked Sendable {
  enum Item {
    case message(OwnerMessage<Element>)
    case stop(StopReason)
  }

  /// What a job's loop waits for.
  enum Event {
    case item(Item)
    case answer(rank: Int, ReplicaAnswer<Element>)
    /// Told once.
    case lost(CollectiveError)
  }

  private let condition = NSCondition()
  private let capacity: Int
  private var answers: [(rank: Int, answer: ReplicaAnswer<Element>)] = []
  private var lost: CollectiveError?
  private var messages: [OwnerMessage<Element>] = []
  private var taken = 0
  private var stopReason: StopReason?

  init(capacity: Int) {
    self.capacity = capacity
  }

  /// False when the owner sent more than its window allows.
  func post(_ message: OwnerMessage<Element>) -> Bool {
    condition.withLock {
      guard messages.count - taken < capacity else { return false }
      messages.append(message)
      condition.signal()
      return true
    }
  }

  /// Takes effect before any message still queued, where it does not wait for a step's end; the first reason stays that does not, but for a
  /// cancellation.
  func stop(_ reason: StopReason) {
    condition.withLock {
      if case .cancelled = reason { stopReason = reason }
      if stopReason?.awaitsStep != false { stopReason = reason }
      condition.signal()
    }
  }

  func post(_ answer: ReplicaAnswer<Element>, from rank: Int) {
    condition.withLock {
      answers.append((rank, answer))
      condition.signal()
    }
  }

  func post(_ error: CollectiveError) {
    condition.withLock {
      lost = error
      condition.signal()
    }
  }

  /// Waits for the next event; answers come first.
  ///
  /// - Parameter includingItems: whether what the owner and the service say is wanted.
  func nextEvent(includingItems: Bool) -> Event {
    condition.withLock {
      while true {
        if !answers.isEmpty {
          let (rank, answer) = answers.removeFirst()
          return .answer(rank: rank, answer)
        }
        if let error = lost {
          lost = nil
          return .lost(error)
        }
        if includingItems, let item = takeItem() { return .item(item) }
        condition.wait()
      }
    }
  }

  private func takeItem() -> Item? {
    if let stopReason, !stopReason.awaitsStep { return .stop(stopReason) }
    guard taken < messages.count else { return nil }
    let message = messages[taken]
    taken += 1
    if taken == messages.count {
      messages.removeAll(keepingCapacity: true)
      taken = 0
    }
    return .message(message)
  }

  /// Whether the job is to make room for another at the end of a step.
  var isTurnOver: Bool { stopRequested?.awaitsStep == true }

  /// The reason to stop, if there is one, without waiting.
  var stopRequested: StopReason? {
    condition.withLock { stopReason }
  }
}
