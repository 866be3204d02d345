package import Foundation
package import Tensors

/// The processes that work on one job together, as MPI has them: each has a rank, 0 … size − 1.
///
/// Collective operations (`startSum`, `broadcast`) are called by all ranks in the same order with the same sizes.
/// Messages between two ranks arrive in the order in which they were sent. Safe to call from any thread, but collective
/// operations of one kind from one thread at a time.
package protocol Communicator: AnyObject, Sendable {
  var rank: Int { get }
  var size: Int { get }

  /// Starts to replace `elements` by their sums over all ranks, which have the same bits everywhere, and returns at once.
  ///
  /// The memory must stay where it is, untouched, until the result's `wait` has returned.
  func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation

  /// Replaces `bytes` by those that rank `root` holds.
  ///
  /// - Throws: `CollectiveError`.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError)

  /// Queues a message for another rank and returns at once.
  ///
  /// - Throws: `CollectiveError` when a rank is known to be gone, or there is no such rank.
  func send(_ message: Data, to rank: Int) throws(CollectiveError)

  /// Waits for the next message of any other rank.
  ///
  /// - Throws: `CollectiveError`.
  func receive() throws(CollectiveError) -> (from: Int, message: Data)

  /// Why nothing can be done together any more; nil while all ranks are there, as far as is known. Every operation that waits ends
  /// with this error then.
  var failure: CollectiveError? { get }

  /// Looks at once whether all ranks still answer, rather than in the course of time: `failure` tells soon afterwards.
  func checkRanks()

  /// Called once, with the first failure, unless the observation was ended before; at once when there is one already.
  @discardableResult
  func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation

  /// This rank found that nothing can be done together any more: `failure` is this error from now on, unless there was one. The other
  /// ranks learn of it when this one's process ends.
  func fail(_ error: CollectiveError)

  /// Leaves in good order, which all ranks do; nothing is called afterwards.
  func finish()

  /// Ends all ranks' processes, this one included, with an exit code.
  func abort(code: Int32)
}

extension Communicator {
  /// Replaces elements by those that rank `root` holds.
  ///
  /// - Throws: `CollectiveError`.
  package func broadcast<Element: TensorElement>(
    _ elements: UnsafeMutableBufferPointer<Element>, from root: Int
  ) throws(CollectiveError) {
    try broadcast(UnsafeMutableRawBufferPointer(elements), from: root)
  }
}
