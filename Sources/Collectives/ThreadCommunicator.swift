package import Foundation
package import Tensors

/// Ranks that are threads of one process, for tests of everything that does not need MPI itself.
package final class ThreadCommunicator: Communicator {
  package let rank: Int
  private let group: ThreadGroup

  package var size: Int { group.size }
  package var failure: CollectiveError? { group.failure }

  private init(rank: Int, group: ThreadGroup) {
    self.rank = rank
    self.group = group
  }

  /// A communicator for each of `size` ranks.
  package static func group(of size: Int) -> [ThreadCommunicator] {
    let group = ThreadGroup(size: max(1, size))
    return (0..<group.size).map { ThreadCommunicator(rank: $0, group: group) }
  }

  package func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation {
    let pending = PendingOperation(parts: 1)
    group.join(.sum, rank, elements, pending) { (contributions: [UnsafeMutableBufferPointer<Element>]) in
      guard let first = contributions.first else { return }
      // In the order of the ranks, so that the bits do not depend on who comes first.
      for other in contributions.dropFirst() {
        for index in first.indices { first[index] += other[index] }
      }
      for other in contributions.dropFirst() { _ = other.update(fromContentsOf: first) }
    }
    return pending
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {
    let pending = PendingOperation(parts: 1)
    group.join(.other, rank, bytes.bindMemory(to: UInt8.self), pending) { contributions in
      for other in contributions.indices where other != root {
        _ = contributions[other].update(fromContentsOf: contributions[root])
      }
    }
    try pending.wait()
  }

  package func send(_ message: Data, to rank: Int) throws(CollectiveError) {
    try group.send(message, from: self.rank, to: rank)
  }

  package func receive() throws(CollectiveError) -> (from: Int, message: Data) {
    try group.receive(at: rank)
  }

  package func checkRanks() {}

  @discardableResult
  package func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    group.onFailure(action)
  }

  package func fail(_ error: CollectiveError) {
    group.fail(error)
  }

  package func finish() {}

  /// This rank dies; all others are told.
  package func abort(code: Int32) {
    group.fail(.rankLost(rank))
  }
}
