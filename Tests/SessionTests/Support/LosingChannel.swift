import Synchronization
import Protocol

/// A channel that finds its connection lost when it is to send a certain message, once: the message is lost with it.
final class LosingChannel: OwnerChannel {
  private let channel: any OwnerChannel
  private let isLost: @Sendable (Message) -> Bool
  private let hasLost = Mutex(false)

  init(_ channel: any OwnerChannel, losing isLost: @escaping @Sendable (Message) -> Bool) {
    self.channel = channel
    self.isLost = isLost
  }

  var isConnected: Bool { channel.isConnected }

  var didLose: Bool { hasLost.withLock { $0 } }

  func send(_ message: Message) throws(TransportError) {
    let isNow = hasLost.withLock { hasLost in
      guard !hasLost, isLost(message) else { return false }
      hasLost = true
      return true
    }
    guard !isNow else { throw .peerGone(endpoint: "the trainer of this test") }
    try channel.send(message)
  }

  func receive(timeout: Duration) throws(TransportError) -> Message? {
    try channel.receive(timeout: timeout)
  }

  func wake() {
    channel.wake()
  }

  func close() {
    channel.close()
  }
}
