import Collectives
import Foundation
import Numerics
import Protocol
import Synchronization

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

/// A rank of another build, one of whose messages the others cannot read.
final class GarblingCommunicator: Communicator {
  private let communicator: any Communicator
  /// Messages until then.
  private let left: Mutex<Int>

  /// - Parameter message: which one, from 0.
  init(_ communicator: any Communicator, message: Int) {
    self.communicator = communicator
    left = Mutex(message)
  }

  var rank: Int { communicator.rank }
  var size: Int { communicator.size }
  var failure: CollectiveError? { communicator.failure }

  func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation {
    communicator.startSum(elements)
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {
    try communicator.broadcast(bytes, from: root)
  }

  func send(_ message: Data, to rank: Int) throws(CollectiveError) {
    let isGarbled = left.withLock { left in
      left -= 1
      return left == -1
    }
    // Every packet begins with its kind; of this one there is none.
    try communicator.send(isGarbled ? Data([0xff]) + message.dropFirst() : message, to: rank)
  }

  func receive() throws(CollectiveError) -> (from: Int, message: Data) { try communicator.receive() }
  func checkRanks() { communicator.checkRanks() }

  func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    communicator.onFailure(action)
  }

  func fail(_ error: CollectiveError) { communicator.fail(error) }
  func finish() { communicator.finish() }
  func abort(code: Int32) { communicator.abort(code: code) }
}
