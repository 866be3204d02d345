import Failures
import Foundation
import OwnerSession
import Transport

/// Turns the first Ctrl-C or SIGTERM into an orderly stop; the second ends the process at once.
enum InterruptSignals {
  /// To be called before the process has other threads.
  static func watch(_ interruption: Interruption) {
    _ = SignalWatch([SIGINT, SIGTERM]) { _ in
      // At once and without cleaning up, which would run beside the thread that still works; a run bears any kill.
      if interruption.isRequested { _exit(FailureKind.unreachable.exitCode) }
      interruption.request()
      StandardError.write("\(StandardError.isTerminal ? "\n" : "")saving; press Ctrl-C again to leave at once\n")
    }
  }
}
