import Checkpoints
package import Foundation
import MonotonicWaits
import Synchronization
import Wire

/// Holds a store for one trainer: `trainer.lease`, renewed every few seconds for as long as this lives.
package final class StoreLease: Sendable {
  private struct State {
    var record: LeaseRecord
    var isReleased = false
  }

  private let store: URL
  private let times: LeaseTimes
  private let state: Mutex<State>
  /// Held while the lease's file is written or removed, which may take long; `state` never is.
  private let file = Mutex(())
  private let onLoss: @Sendable (StoreError) -> Void
  private let stopped = MonotonicLatch()

  /// Makes the store where there is none, and waits for as long as another trainer may be alive that has it.
  ///
  /// - Parameters:
  ///   - waiting: told when that is so.
  ///   - isCancelled: asked meanwhile.
  ///   - onLoss: called on another thread when somebody else has taken the store over; nothing may be written to it then.
  /// - Throws: `StoreError`; `CheckpointError` when the store cannot be read or written; `CancellationError`.
  package convenience init(
    store: URL, software: String, times: LeaseTimes = LeaseTimes(), waiting: @escaping (String) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }, onLoss: @escaping @Sendable (StoreError) -> Void
  ) throws {
    try self.init(
      store: store, software: software, holder: .own, times: times, waiting: waiting, isCancelled: isCancelled,
      onLoss: onLoss)
  }

  init(
    store: URL, software: String, holder: ProcessIdentity, times: LeaseTimes,
    waiting: @escaping (String) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (StoreError) -> Void
  ) throws {
    try Directory.create(store.path)
    try StoreFormat.claim(store, software: software)
    let record = LeaseRecord(holder: holder, token: .random(in: .min ... .max), beat: 0)
    try LeaseClaim(store: store, times: times, record: record, waiting: waiting, isCancelled: isCancelled).take()
    self.store = store
    self.times = times
    self.onLoss = onLoss
    state = Mutex(State(record: record))
    let thread = Thread { [weak self, stopped] in
      while !stopped.wait(for: times.interval) {
        guard let self, self.renew() else { return }
      }
    }
    thread.name = "lease"
    thread.start()
  }

  deinit {
    release()
  }

  /// Gives the store up. Call when nothing writes to it any more.
  package func release() {
    stopped.open()
    file.withLock { _ in
      let token = state.withLock { state -> UInt64? in
        defer { state.isReleased = true }
        return state.isReleased ? nil : state.record.token
      }
      if let token, (try? LeaseRecord.read(store))?.token == token { unlink(LeaseRecord.path(store)) }
    }
  }

  /// Lets `trainer status` see which job runs.
  package func record(_ event: TrainerEvent) {
    switch event {
    case .jobStarted(let job, _): state.withLock { $0.record.job = job.description }
    case .jobPaused(let job, _, _), .jobFinished(let job, _), .jobRemoved(let job, _), .jobFailed(let job, _):
      state.withLock { state in
        if state.record.job == job.description { state.record.job = nil }
      }
    default: break
    }
  }

  /// - Returns: false when there is nothing left to renew.
  private func renew() -> Bool {
    let isLost = file.withLock { _ -> Bool? in
      guard let record = state.withLock({ $0.isReleased ? nil : $0.record }) else { return nil }
      let present: LeaseRecord?
      do {
        present = try LeaseRecord.read(store)
      } catch {
        // It may be somebody else's by now, and can perhaps be read the next time.
        return false
      }
      // One that is gone is made anew.
      guard present == nil || present?.token == record.token else {
        state.withLock { $0.isReleased = true }
        return true
      }
      write()
      return false
    }
    if isLost == true { onLoss(.taken(path: store.path)) }
    return isLost == false
  }

  private func write() {
    let record = state.withLock { state in
      state.record.beat &+= 1
      return state.record
    }
    do {
      try record.write(store)
    } catch {
      // A full disk takes no new file, but a new date.
      utimensat(AT_FDCWD, LeaseRecord.path(store), nil, 0)
    }
  }
}
