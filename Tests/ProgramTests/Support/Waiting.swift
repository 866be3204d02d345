import Foundation

/// Waiting for another process, bounded.
enum Waiting {
  /// - Returns: whether `condition` came true within `seconds`.
  static func until(_ seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
      guard ContinuousClock.now < deadline else { return false }
      usleep(5_000)
    }
    return true
  }
}
