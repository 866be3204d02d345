import Synchronization

/// The keys served at this moment; replaceable while connections come and go.
final class AdmissionList: Sendable {
  private let keys: Mutex<Set<OwnerKey>>

  init(_ keys: Set<OwnerKey>) {
    self.keys = Mutex(keys)
  }

  func replace(with newKeys: Set<OwnerKey>) {
    keys.withLock { $0 = newKeys }
  }

  func contains(_ key: OwnerKey) -> Bool {
    keys.withLock { $0.contains(key) }
  }
}
