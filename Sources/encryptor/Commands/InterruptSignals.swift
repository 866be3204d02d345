import Dispatch
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
        if interruption.isRequested { Foundation.exit(5) }
        interruption.request()
        StandardError.write("\nsaving; press Ctrl-C again to leave at once\n")
      }
      source.resume()
      return source
    }
  }

  func stop() {
    for source in sources { source.cancel() }
  }
}
