import Foundation
import Tensors
import Wire

/// A bounded queue of messages to one runner.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class Inbox<Element: FloatingElement>: @unchecked Sendable {
  enum Item {
    case message(OwnerMessage<Element>)
    case stop(StopReason)
  }

  private let condition = NSCondition()
  private let capacity: Int
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

  /// Takes effect before any message still queued; the first reason stays, but for a cancellation.
  func stop(_ reason: StopReason) {
    condition.withLock {
      if case .cancelled = reason { stopReason = reason }
      stopReason = stopReason ?? reason
      condition.signal()
    }
  }

  /// Waits for the next item.
  func next() -> Item {
    condition.withLock {
      while stopReason == nil, taken == messages.count { condition.wait() }
      if let stopReason { return .stop(stopReason) }
      let message = messages[taken]
      taken += 1
      if taken == messages.count {
        messages.removeAll(keepingCapacity: true)
        taken = 0
      }
      return .message(message)
    }
  }

  /// Whether the owner that this runner spoke with is not to hear from it any more: it is gone, or on another connection where
  /// these messages would be taken for those of the next runner.
  var isAbandoned: Bool {
    switch stopRequested {
    case .ownerLost, .superseded, .ownerRemoved: true
    case .shutdown, .cancelled, nil: false
    }
  }

  /// The reason to stop, if there is one, without waiting.
  var stopRequested: StopReason? {
    condition.withLock { stopReason }
  }
}
