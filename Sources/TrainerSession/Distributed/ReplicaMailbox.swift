import Foundation
import Tensors

/// Commands to one replica, in order. What bounds them is how many micro-batches an owner may have unanswered.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class ReplicaMailbox<Element: FloatingElement>: @unchecked Sendable {
  private let condition = NSCondition()
  private var commands: [ReplicaCommand<Element>] = []
  private var isClosed = false

  func post(_ command: ReplicaCommand<Element>) {
    condition.withLock {
      commands.append(command)
      condition.signal()
    }
  }

  /// No more commands will come.
  func close() {
    condition.withLock {
      isClosed = true
      condition.signal()
    }
  }

  /// All commands that are there; waits for one where there is none. Empty once closed.
  func take(waiting: Bool) -> [ReplicaCommand<Element>] {
    condition.withLock {
      while waiting, commands.isEmpty, !isClosed { condition.wait() }
      defer { commands = [] }
      return commands
    }
  }
}
