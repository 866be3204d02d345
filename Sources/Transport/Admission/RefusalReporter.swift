import Foundation
import Synchronization

/// Tells refusals to the trainer, a bounded number in any period: whoever is refused must not be able to fill its log.
final class RefusalReporter: Sendable {
  private struct Counts {
    var total = 0
    var byReason = Dictionary(uniqueKeysWithValues: Refusal.Reason.names.map { ($0, 0) })
    var allowance = PeriodAllowance()
  }

  private let counts = Mutex(Counts())
  private let tell: @Sendable (Refusal) -> Void

  init(_ tell: @escaping @Sendable (Refusal) -> Void) {
    self.tell = tell
  }

  /// All refusals so far, told or not.
  var total: Int { counts.withLock(\.total) }

  /// The same by `Refusal.Reason.name`, each of which is there.
  var byReason: [String: Int] { counts.withLock(\.byReason) }

  func report(_ reason: Refusal.Reason, key: OwnerKey? = nil, address: String? = nil) {
    let suppressed: Int? = counts.withLock { counts in
      counts.total += 1
      counts.byReason[reason.name, default: 0] += 1
      return counts.allowance.admit(at: .now)
    }
    guard let suppressed else { return }
    tell(
      Refusal(
        reason: reason, ownerKey: key, address: address.map(Self.printable), time: Date(),
        suppressed: suppressed))
  }

  /// Only what an IP address consists of, whatever the peer made libzmq say.
  private static func printable(_ address: String) -> String {
    String(address.prefix(64).filter { $0.isHexDigit || $0 == "." || $0 == ":" || $0 == "%" })
  }
}
