import Foundation

/// Hands signals to a thread of its own, none lost: they are blocked everywhere else from the start, so that one that comes
/// before anybody waits stays pending.
package final class SignalWatch: Sendable {
  /// Begins to wait. To be made before the process has other threads, which inherit the blocking.
  ///
  /// - Parameter handler: called for each signal, on the watch's thread.
  package init(_ signals: [Int32], handler: @escaping @Sendable (Int32) -> Void) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    let watched = set
    let thread = Thread {
      var watched = watched
      while true {
        var signal: Int32 = 0
        if sigwait(&watched, &signal) == 0 { handler(signal) }
      }
    }
    thread.name = "signals"
    thread.start()
  }
}
