import Collectives
import Tensors

/// The replicas of a job as its coordinator sees them: the one of its own process, and one at every other rank.
struct ReplicaGroup<Element: FloatingElement>: Sendable {
  let communicator: any Communicator
  /// Of rank 0's replica.
  let mailbox: ReplicaMailbox<Element>

  var size: Int { communicator.size }

  /// What is sent to a rank that is gone is lost with it: `Inbox.Event.lost` tells.
  func send(_ command: ReplicaCommand<Element>, to rank: Int) {
    if rank == 0 {
      mailbox.post(command)
    } else if let packet = command.packet {
      try? communicator.send(packet.encoded(), to: rank)
    }
  }

  func sendAll(_ command: ReplicaCommand<Element>) {
    for rank in 0..<size { send(command, to: rank) }
  }
}
