import Foundation

/// A sum over all ranks, or a broadcast, that is under way.
///
/// `@unchecked Sendable`: its state is read and written with `condition` locked.
package final class PendingOperation: @unchecked Sendable {
  private let condition = NSCondition()
  private var parts: Int
  private var result: Result<Void, CollectiveError>?
  private var waits = false
  private let hurry: @Sendable () -> Void

  /// - Parameters:
  ///   - parts: how many times `complete` is due; none for what is there already.
  ///   - hurry: called when somebody begins to wait for it.
  init(parts: Int, hurry: @escaping @Sendable () -> Void = {}) {
    self.parts = parts
    self.hurry = hurry
    if parts == 0 { result = .success(()) }
  }

  /// Whether somebody does nothing but wait for it.
  var isAwaited: Bool { condition.withLock { waits && result == nil } }

  /// Returns when the result is there.
  ///
  /// - Throws: `CollectiveError`; what the memory holds is then unspecified.
  package func wait() throws(CollectiveError) {
    condition.lock()
    if result == nil, !waits {
      waits = true
      condition.unlock()
      hurry()
      condition.lock()
    }
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
