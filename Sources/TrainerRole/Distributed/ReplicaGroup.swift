import Collectives
import Foundation
import Numerics

/// The replicas of a job as its coordinator sees them: the one of its own process, and one at every other rank.
struct ReplicaGroup<Element: FloatingElement>: Sendable {
  let communicator: any Communicator
  /// Of rank 0's replica.
  let mailbox: ReplicaMailbox<Element>

  var size: Int { communicator.size }

  /// When a rank cannot be told something, it and the others would wait for each other for ever: so the communicator fails, as it does
  /// when a rank is gone, and `Inbox.Event.lost` tells.
  func send(_ command: ReplicaCommand<Element>, to rank: Int) {
    guard rank != 0 else { return mailbox.post(command) }
    do {
      guard let packet = command.packet else { throw CollectiveError.unsendable(rank: rank) }
      try communicator.send(packet.encoded(), to: rank)
    } catch {
      communicator.fail(error as? CollectiveError ?? .unsendable(rank: rank))
    }
  }

  func sendAll(_ command: ReplicaCommand<Element>) {
    for rank in 0..<size { send(command, to: rank) }
  }
}

/// Commands to one replica, in order. What bounds them is how many micro-batches and evaluations an owner may have unanswered, and
/// `hasRoom` for what it wants saved.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class ReplicaMailbox<Element: FloatingElement>: @unchecked Sendable {
  private let condition = NSCondition()
  private var commands: [ReplicaCommand<Element>] = []
  private var isClosed = false
  /// Saves and their like that are not carried out yet, here or at the replica.
  private var orders = 0

  /// An owner sends one with each checkpoint or evaluation that it was told of; this many are never due at once.
  static var largestOrders: Int { 256 }

  /// Whether an owner may order something more to be saved.
  var hasRoom: Bool { condition.withLock { orders < Self.largestOrders } }

  func post(_ command: ReplicaCommand<Element>) {
    condition.withLock {
      commands.append(command)
      if command.isOrder { orders += 1 }
      condition.signal()
    }
  }

  /// The replica carried a command out, or failed to.
  func finish(_ command: ReplicaCommand<Element>) {
    guard command.isOrder else { return }
    condition.withLock { orders -= 1 }
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
