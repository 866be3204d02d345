import Foundation
import TrainerSession
import Transport

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again. SIGCONT, which launchers send before all
/// others when one of several processes has died, asks whether all of them are there.
struct ServiceSignals {
  private let watch: SignalWatch

  init(
    stop: StopSwitch, checkRanks: @escaping @Sendable () -> Void = {}, reload: @escaping @Sendable () -> Void
  ) {
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP, SIGCONT]) { signal in
      switch signal {
      case SIGHUP: reload()
      case SIGCONT: checkRanks()
      default: stop.request()
      }
    }
  }
}
