import Synchronization

@testable import Protocol

/// Collects what a server's end reports.
final class RefusalLog: Sendable {
  private let entries = Mutex<[Refusal]>([])

  func append(_ refusal: Refusal) {
    entries.withLock { $0.append(refusal) }
  }

  var all: [Refusal] { entries.withLock { $0 } }

  /// Waits for a refusal for that reason, since some are reported on another thread.
  func waitFor(_ reason: Refusal.Reason) -> Refusal? {
    let end = ContinuousClock.now + Site.patience
    while ContinuousClock.now < end {
      if let refusal = all.first(where: { $0.reason == reason }) { return refusal }
      pause(.milliseconds(5))
    }
    return nil
  }
}
