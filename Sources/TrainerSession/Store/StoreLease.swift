package import Checkpoints
package import Foundation
import Wire

/// Holds a store for one trainer by `trainer.lease`.
package final class StoreLease: Sendable {
  private let lease: DirectoryLease

  /// Makes the store where there is none, and waits for as long as another trainer may be alive that has it.
  ///
  /// - Parameters:
  ///   - waiting: told when that is so.
  ///   - isCancelled: asked meanwhile.
  ///   - onLoss: called on another thread when somebody else has taken the store over; nothing may be written to it then.
  /// - Throws: `StoreError`; `CheckpointError` when the store cannot be read or written; `CancellationError`.
  package init(
    store: URL, software: String, holder: ProcessIdentity = .own, times: LeaseTimes = LeaseTimes(),
    waiting: @escaping (String) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (StoreError) -> Void
  ) throws {
    try Directory.create(store.path)
    try StoreFormat.claim(store, software: software)
    do {
      lease = try DirectoryLease(
        Self.place(store), holder: holder, times: times, waiting: waiting, isCancelled: isCancelled,
        onLoss: { onLoss(StoreError($0)) })
    } catch let error as LeaseError {
      throw StoreError(error)
    }
  }

  static func place(_ store: URL) -> LeasePlace {
    LeasePlace(directory: store, file: "trainer.lease", subject: "the store")
  }

  /// Gives the store up. Call when nothing writes to it any more.
  package func release() {
    lease.release()
  }

  /// Lets `trainer status` see which job runs.
  package func record(_ event: TrainerEvent) {
    switch event {
    case .jobStarted(let job, _): lease.updateJob { _ in job.description }
    case .jobPaused(let job, _, _), .jobFinished(let job, _), .jobRemoved(let job, _), .jobFailed(let job, _):
      lease.updateJob { $0 == job.description ? nil : $0 }
    default: break
    }
  }
}

extension StoreError {
  fileprivate init(_ error: LeaseError) {
    switch error {
    case .held(let place, let holder): self = .held(path: place.directory.path, by: holder)
    case .taken(let place): self = .taken(path: place.directory.path)
    case .damaged(let path): self = .damaged(path: path)
    }
  }
}
