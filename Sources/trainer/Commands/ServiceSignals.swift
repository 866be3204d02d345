import Foundation
import Synchronization
import TrainerSession
import Transport

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again.
final class ServiceSignals: Sendable {
  private let reload = Mutex<(@Sendable () -> Void)?>(nil)

  /// To be made before the process has other threads.
  init(stop: StopSwitch) {
    _ = SignalWatch([SIGTERM, SIGINT, SIGHUP]) { [self] signal in
      guard signal == SIGHUP else { return stop.request() }
      reload.withLock(\.self)?()
    }
  }

  func onReload(_ action: @escaping @Sendable () -> Void) {
    reload.withLock { $0 = action }
  }
}
