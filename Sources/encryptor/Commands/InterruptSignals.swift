import Dispatch
import Failures
import Foundation
import OwnerSession

/// Turns the first Ctrl-C or SIGTERM into an orderly stop; the second ends the process at once.
final class InterruptSignals {
  private let sources: [any DispatchSourceSignal]

  init(_ interruption: Interruption) {
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInitiated))
      source.setEventHandler {
        // At once and without cleaning up, which would run beside the thread that still works; a run bears any kill.
        if interruption.isRequested { _exit(FailureKind.unreachable.exitCode) }
        interruption.request()
        StandardError.write("\(StandardError.isTerminal ? "\n" : "")saving; press Ctrl-C again to leave at once\n")
      }
      source.resume()
      return source
    }
  }

  func stop() {
    for source in sources { source.cancel() }
  }
}
