import Collectives
import Foundation
import Synchronization
import Numerics

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
