import Collectives
import Tensors

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
