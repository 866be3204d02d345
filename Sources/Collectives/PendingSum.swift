import Foundation

/// A sum over all ranks that is under way.
///
/// `@unchecked Sendable`: its state is read and written with `condition` locked.
package final class PendingSum: @unchecked Sendable {
  private let condition = NSCondition()
  private var parts: Int
  private var result: Result<Void, CollectiveError>?

  /// - Parameter parts: how many times `complete` is due; none for a sum that is there already.
  init(parts: Int) {
    self.parts = parts
    if parts == 0 { result = .success(()) }
  }

  package var isComplete: Bool { condition.withLock { result != nil } }

  /// Returns when the sums are there.
  ///
  /// - Throws: `CollectiveError`; what the memory holds is then unspecified.
  package func wait() throws(CollectiveError) {
    condition.lock()
    while result == nil { condition.wait() }
    let result = result
    condition.unlock()
    try result?.get()
  }

  func complete() {
    condition.withLock {
      parts -= 1
      guard parts == 0, result == nil else { return }
      result = .success(())
      condition.broadcast()
    }
  }

  func fail(_ error: CollectiveError) {
    condition.withLock {
      guard result == nil else { return }
      result = .failure(error)
      condition.broadcast()
    }
  }
}
