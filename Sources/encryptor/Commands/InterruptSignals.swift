import Failures
import Foundation
import OwnerSession
import Transport

/// Turns the first Ctrl-C or SIGTERM into an orderly stop; the second ends the process at once.
struct InterruptSignals {
  private let watch: SignalWatch

  init(_ interruption: Interruption) {
    watch = SignalWatch([SIGINT, SIGTERM]) { _ in
      // At once and without cleaning up, which would run beside the thread that still works; a run bears any kill.
      if interruption.isRequested { _exit(FailureKind.unreachable.exitCode) }
      interruption.request()
      StandardError.write("\(StandardError.isTerminal ? "\n" : "")saving; press Ctrl-C again to leave at once\n")
    }
  }
}
