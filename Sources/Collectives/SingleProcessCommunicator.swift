package import Foundation
package import Tensors

/// One rank: sums are what they are summed from.
package final class SingleProcessCommunicator: Communicator {
  package let rank = 0
  package let size = 1
  package let failure: CollectiveError? = nil

  package init() {}

  package func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation {
    PendingOperation(parts: 0)
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {}

  package func send(_ message: Data, to rank: Int) throws(CollectiveError) { throw .rankLost(rank) }

  package func receive() throws(CollectiveError) -> (from: Int, message: Data) { throw .finished }

  package func checkRanks() {}

  package func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    FailureObservation()
  }

  package func fail(_ error: CollectiveError) {}

  package func finish() {}

  package func abort(code: Int32) { exit(code) }
}
