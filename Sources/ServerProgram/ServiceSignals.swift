import Glibc
import Protocol
package import Service
import Synchronization

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again. SIGCONT, which launchers send before all
/// others when one of several processes has died, asks whether all of them are there.
package final class ServiceSignals {
  private typealias Action = @Sendable () -> Void

  private let watch: SignalWatch
  private let served: Served

  /// What can be done once the server serves.
  private final class Served: Sendable {
    let actions = Mutex<(reload: Action, checkPeers: Action)>(({}, {}))
  }

  /// - Parameter isRequeued: SIGTERM comes from a batch system that starts the server again.
  package init(stop: StopSwitch, isRequeued: Bool = false) {
    let served = Served()
    self.served = served
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP, SIGCONT]) { signal in
      switch signal {
      case SIGHUP: served.actions.withLock(\.reload)()
      case SIGCONT: served.actions.withLock(\.checkPeers)()
      default: stop.request(preempted: isRequeued && signal == SIGTERM)
      }
    }
  }

  /// - Parameter checkPeers: what to do at SIGCONT, by which Open MPI's launcher announces that it ends a job.
  package func serve(checkPeers: @escaping @Sendable () -> Void, reload: @escaping @Sendable () -> Void) {
    served.actions.withLock { $0 = (reload, checkPeers) }
  }
}
