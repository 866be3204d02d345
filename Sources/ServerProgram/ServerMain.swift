package import ArgumentParser
import Files
import Foundation
import Foundations
import Glibc
import Protocol
package import Service
import Synchronization

/// How a server's program begins and ends.
package enum ServerMain {
  /// Runs the command that the arguments name; prints errors in one line and exits with the code of their kind.
  ///
  /// - Parameters:
  ///   - prepare: what has to come before all else.
  ///   - isService: whether a command serves: what it prints is in its log too, and it ends as its jobs did.
  package static func run<Root: ParsableCommand, Identity: ServerIdentity>(
    _ root: Root.Type, of identity: Identity.Type, prepare: () throws -> Void = {},
    isService: (any ParsableCommand) -> Bool
  ) {
    do {
      try prepare()
      ProcessHardening.reserveStandardStreams()
      ProcessHardening.reportFailedWrites()
      try ProcessHardening.disableCoreDumps()
      try ProcessHardening.reportFaults(program: identity.name)
      do {
        var command = try root.parseAsRoot()
        try command.run()
        if isService(command) { return }
      } catch  where root.exitCode(for: error) == .success {
        // Help and versions come as errors, and are results like any other.
        print(root.fullMessage(for: error))
      }
      try StandardOutput.finish()
    } catch let failure as any Failure {
      StandardError.write("\(identity.name): \(failure.description.printable(limit: 4000))\n")
      exit(failure.kind.exitCode)
    } catch {
      StandardError.write(root.fullMessage(for: error).printableLines + "\n")
      let isUsage = root.exitCode(for: error) == .validationFailure
      exit(isUsage ? FailureKind.usage.exitCode : FailureKind.defect.exitCode)
    }
  }
}

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
