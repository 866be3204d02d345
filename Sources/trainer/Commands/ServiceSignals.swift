import Foundation
import TrainerSession
import Transport

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again.
struct ServiceSignals {
  private let watch: SignalWatch

  init(stop: StopSwitch, reload: @escaping @Sendable () -> Void) {
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP]) { signal in
      if signal == SIGHUP { reload() } else { stop.request() }
    }
  }
}
