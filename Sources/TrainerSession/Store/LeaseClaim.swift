import Checkpoints
import Foundation

/// Takes a store's lease: at once when there is none or its holder is known to be dead, after a while when nobody renews it.
///
/// No file locks, which network file systems may lack: `link` makes the first lease, `rename` replaces one. A holder on this machine is looked
/// up; one on another counts as alive while its lease is younger than the limit, by the clock that dates the store's files, and in any
/// case when it renews the lease while this waits. So a clock that jumps makes this wait longer, and never take what is held.
struct LeaseClaim {
  let store: URL
  let times: LeaseTimes
  let record: LeaseRecord
  /// Told when there is something to wait for.
  let waiting: (String) -> Void

  private let clock = ContinuousClock()

  init(store: URL, times: LeaseTimes, record: LeaseRecord, waiting: @escaping (String) -> Void) {
    self.store = store
    self.times = times
    self.record = record
    self.waiting = waiting
  }

  /// - Throws: `StoreError.held`; `CheckpointError` when the store cannot be written.
  func take() throws {
    while true {
      // Looked for first: on a full disk a new file would fail before it shows that there is one.
      if LeaseRecord.renewalTime(store) == nil, try create() { return }
      if try replace() { return }
    }
  }

  /// - Returns: false when there is a lease already.
  private func create() throws -> Bool {
    do {
      try record.write(store, replacing: false)
      return true
    } catch let error as CheckpointError {
      guard case .system(.create, _, EEXIST) = error else { throw error }
      return false
    }
  }

  /// - Returns: false when it is to be tried again.
  private func replace() throws -> Bool {
    let other = try? LeaseRecord.read(store)
    let holder = other?.holderText ?? "unknown"
    switch other?.holder.isAlive {
    case true?: throw StoreError.held(path: store.path, by: holder)
    case false?: break
    case nil: try observe(other, holder: holder)
    }
    // Somebody else may have taken it meanwhile.
    guard (try? LeaseRecord.read(store)) == other else { return false }
    try record.write(store)
    Thread.sleep(forTimeInterval: times.settling.inSeconds)
    return try LeaseRecord.read(store)?.token == record.token
  }

  /// Waits until the lease counts as left behind.
  private func observe(_ other: LeaseRecord?, holder: String) throws {
    let first = LeaseRecord.renewalTime(store)
    guard let first else { return }
    let age: Double = try presentTime() - first
    let window: Double = window(age: age)
    waiting("the store was last held by \(holder); watching for \(Int(window) + 1) s whether it is alive")
    let end: ContinuousClock.Instant = clock.now + Duration.seconds(window)
    let pause: Double = times.interval.inSeconds / 20
    while clock.now < end {
      Thread.sleep(forTimeInterval: pause)
      guard let renewed = LeaseRecord.renewalTime(store) else { return }
      guard renewed == first, (try? LeaseRecord.read(store)) == other else {
        throw StoreError.held(path: store.path, by: holder)
      }
    }
  }

  /// How long to watch a lease of this age; one below zero is that of a clock set back. All in seconds.
  private func window(age: Double) -> Double {
    let limit: Double = times.limit.inSeconds
    let left: Double = limit - Swift.max(age, 0)
    return Swift.max(times.observation.inSeconds, left)
  }

  /// By the clock that dates files of the store, which may be another machine's.
  private func presentTime() throws -> Double {
    let path = store.appending(path: ".clock-\(record.token)").path
    try AtomicFile.write(Data(), to: path)
    defer { unlink(path) }
    var status = stat()
    guard stat(path, &status) == 0 else { throw CheckpointError.system(.read, path: path, code: errno) }
    return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
  }
}
