import Failures
import Foundation
import OwnerSession

/// Keeps a run directory for this process until it ends.
enum RunHold {
  static func take(_ directory: RunDirectory, _ interruption: Interruption) throws -> RunLease {
    try RunLease(
      directory, waiting: { StandardError.write($0 + "\n") }, isCancelled: { interruption.isRequested },
      onLoss: { error in
        StandardError.write("encryptor: \(error.description)\n")
        // At once: whatever is written from now on would be written into the other process's run.
        _exit(error.kind.exitCode)
      })
  }
}
