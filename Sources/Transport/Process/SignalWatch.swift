import Dispatch
import Foundation

/// Hands signals to a queue of its own instead of their default action.
package final class SignalWatch {
  private let sources: [any DispatchSourceSignal]

  /// Returns when every signal is watched: Dispatch registers a source on another thread, and a signal that came before
  /// would be ignored.
  ///
  /// - Parameter handler: called for each signal, on the watch's queue.
  package init(_ signals: [Int32], handler: @escaping @Sendable (Int32) -> Void) {
    let queue = DispatchQueue(label: "signals", qos: .userInitiated)
    let registered = DispatchSemaphore(value: 0)
    sources = signals.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { handler(number) }
      source.setRegistrationHandler { registered.signal() }
      source.resume()
      return source
    }
    for _ in signals { registered.wait() }
  }
}
