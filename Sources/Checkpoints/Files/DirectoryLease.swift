import Foundation
import MonotonicWaits
import Synchronization

/// Holds a directory for one process: a file in it, renewed every few seconds for as long as this lives.
package final class DirectoryLease: Sendable {
  private struct State {
    var record: LeaseRecord
    var isReleased = false
  }

  private let place: LeasePlace
  private let times: LeaseTimes
  private let state: Mutex<State>
  /// Held while the lease's file is written or removed, which may take long; `state` never is.
  private let file = Mutex(())
  private let onLoss: @Sendable (LeaseError) -> Void
  private let stopped = MonotonicLatch()

  /// Waits for as long as another process may be alive that holds the directory.
  ///
  /// - Parameters:
  ///   - place: a directory that exists.
  ///   - waiting: told when that is so.
  ///   - isCancelled: asked meanwhile.
  ///   - onLoss: called on another thread when somebody else has taken the directory over; nothing may be written to it then.
  /// - Throws: `LeaseError`; `CheckpointError` when the directory cannot be read or written; `CancellationError`.
  package init(
    _ place: LeasePlace, holder: ProcessIdentity = .own, times: LeaseTimes = LeaseTimes(),
    waiting: @escaping (String) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (LeaseError) -> Void
  ) throws {
    let record = LeaseRecord(holder: holder, token: .random(in: .min ... .max), beat: 0)
    try LeaseClaim(place: place, times: times, record: record, waiting: waiting, isCancelled: isCancelled).take()
    self.place = place
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

  /// Gives the directory up. Call when nothing writes to it any more.
  package func release() {
    stopped.open()
    file.withLock { _ in
      let token = state.withLock { state -> UInt64? in
        defer { state.isReleased = true }
        return state.isReleased ? nil : state.record.token
      }
      if let token, (try? LeaseRecord.read(place))?.token == token { unlink(place.path) }
    }
  }

  /// Names the job that runs, from the next renewal on; nil for none.
  ///
  /// - Parameter change: makes the new name from the present one.
  package func updateJob(_ change: (String?) -> String?) {
    state.withLock { $0.record.job = change($0.record.job) }
  }

  /// - Returns: false when there is nothing left to renew.
  private func renew() -> Bool {
    let isLost = file.withLock { _ -> Bool? in
      guard let record = state.withLock({ $0.isReleased ? nil : $0.record }) else { return nil }
      let present: LeaseRecord?
      do {
        present = try LeaseRecord.read(place)
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
    if isLost == true { onLoss(.taken(place)) }
    return isLost == false
  }

  private func write() {
    let record = state.withLock { state in
      state.record.beat &+= 1
      return state.record
    }
    do {
      try record.write(place)
    } catch {
      // A full disk takes no new file, but a new date.
      utimensat(AT_FDCWD, place.path, nil, 0)
    }
  }
}
