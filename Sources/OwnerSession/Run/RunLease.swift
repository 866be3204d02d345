import Checkpoints
import FoundationEssentials

/// Keeps a run directory for one process at a time: two that write its history and answer its trainer would spoil the run for both.
///
/// `status`, `cancel` and `predict` need none: they only read, or replace a whole file.
package final class RunLease: Sendable {
  private let lease: DirectoryLease

  /// Waits for as long as a process of another machine may be alive that has the run.
  ///
  /// - Parameters:
  ///   - directory: one that was created.
  ///   - waiting: told when that is so.
  ///   - isCancelled: asked meanwhile.
  ///   - onLoss: called on another thread when another process has taken the run over; nothing may be written to it then.
  /// - Throws: `OwnerError.run` that names the process that has the run; `.trainerGone` when cancelled; `LeaseError.damaged`;
  ///   `CheckpointError` when the directory cannot be written.
  package init(
    _ directory: RunDirectory, waiting: @escaping (String) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }, onLoss: @escaping @Sendable (OwnerError) -> Void = { _ in }
  ) throws {
    do {
      lease = try DirectoryLease(
        directory.lease, waiting: waiting, isCancelled: isCancelled,
        onLoss: { _ in
          onLoss(
            .run(
              "another process has taken the run \(directory.root.path) over, because this one was not heard of for too long"
            ))
        })
    } catch LeaseError.held(_, let holder) {
      throw Self.isHeld(directory, by: holder)
    } catch is CancellationError {
      throw OwnerError.trainerGone("interrupted while waiting for the run directory")
    }
  }

  package func release() {
    lease.release()
  }

  /// - Throws: as `init` when a process that is alive, or may be, has the run.
  static func checkFree(_ directory: RunDirectory) throws {
    guard let record = try? LeaseRecord.read(directory.lease), record.holder.isAlive != false else { return }
    throw isHeld(directory, by: record.holderText)
  }

  private static func isHeld(_ directory: RunDirectory, by holder: String) -> OwnerError {
    .run("the run \(directory.root.path) is in use by \(holder); wait until that one ends, or end it")
  }
}
