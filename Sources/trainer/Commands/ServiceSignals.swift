import Dispatch
import Foundation
import TrainerSession

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again.
final class ServiceSignals {
  private let sources: [any DispatchSourceSignal]

  init(stop: StopSwitch, reload: @escaping @Sendable () -> Void) {
    let queue = DispatchQueue(label: "signals")
    let stopping: @Sendable () -> Void = { stop.request() }
    sources = [(SIGTERM, stopping), (SIGINT, stopping), (SIGHUP, reload)].map { number, action in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler(handler: action)
      source.resume()
      return source
    }
  }

  func stop() {
    for source in sources { source.cancel() }
  }
}
