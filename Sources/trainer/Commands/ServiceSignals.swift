import Foundation
import TrainerSession
import Transport

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again.
struct ServiceSignals {
  private let watch: SignalWatch

  /// - Parameter isRequeued: SIGTERM comes from a batch system that starts the trainer again.
  init(stop: StopSwitch, isRequeued: Bool, reload: @escaping @Sendable () -> Void) {
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP]) { signal in
      if signal == SIGHUP { reload() } else { stop.request(preempted: isRequeued && signal == SIGTERM) }
    }
  }
}
