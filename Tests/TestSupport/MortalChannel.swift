package import Protocol
import Synchronization

/// A channel whose owner is killed after so many operations: nothing goes out or comes in from then on, and nothing is closed in
/// an orderly way.
package final class MortalChannel: OwnerChannel {
  private let channel: any OwnerChannel
  private let left: Mutex<Int>

  package init(_ channel: any OwnerChannel, operations: Int) {
    self.channel = channel
    left = Mutex(operations)
  }

  package var isConnected: Bool { channel.isConnected }

  package func send(_ message: Message) throws(TransportError) {
    try live()
    try channel.send(message)
  }

  package func receive(timeout: Duration) throws(TransportError) -> Message? {
    try live()
    return try channel.receive(timeout: timeout)
  }

  package func wake() {
    channel.wake()
  }

  package func close() {
    channel.close()
  }

  /// `.closed` is what no part of a session survives or answers.
  private func live() throws(TransportError) {
    let isAlive = left.withLock { left in
      left -= 1
      return left >= 0
    }
    guard isAlive else { throw .closed }
  }
}
