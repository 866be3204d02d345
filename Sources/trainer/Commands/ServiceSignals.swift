import Foundation
import TrainerSession
import Transport

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again. SIGCONT, which launchers send before all
/// others when one of several processes has died, asks whether all of them are there.
struct ServiceSignals {
  private let watch: SignalWatch

  /// - Parameters:
  ///   - isRequeued: SIGTERM comes from a batch system that starts the trainer again.
  ///   - checkRanks: what to do at SIGCONT, by which Open MPI's launcher announces that it ends a job.
  init(
    stop: StopSwitch, isRequeued: Bool = false, checkRanks: @escaping @Sendable () -> Void = {},
    reload: @escaping @Sendable () -> Void
  ) {
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP, SIGCONT]) { signal in
      switch signal {
      case SIGHUP: reload()
      case SIGCONT: checkRanks()
      default: stop.request(preempted: isRequeued && signal == SIGTERM)
      }
    }
  }
}
