import Files
import Foundation
import Foundations
package import Logging
package import Protocol
package import Service

/// Everything of a server but its role: the store's lease, the event log, the endpoint, metrics, and who is served.
package final class Server<Identity: ServerIdentity> {
  /// For the service that is to run.
  package let configuration: ServiceConfiguration
  package let endpoint: ZeroMQServerEndpoint
  private let place: ServerPlace<Identity>
  private let owners: OwnerList
  private let publicKey: CurvePublicKey
  private let ownerCount: Int
  private let log: ServerLog
  private let lease: StoreLease
  private let eventLog: EventLog

  /// Takes the store, opens the event log, and listens.
  ///
  /// - Parameters:
  ///   - owners: whom it serves.
  ///   - awaitsGuests: whether the service says at its beginning whose keys are let in beside the owners'; until then those wait.
  /// - Throws: `Failure` for keys, owners, store or address that cannot be used; `CancellationError` when it is to stop before it has
  ///   the store.
  package init(
    _ place: ServerPlace<Identity>, owners list: OwnerList, awaitsGuests: Bool = false, log: ServerLog, stop: StopSwitch
  ) throws {
    let keys = try KeyFile(.init(server: Identity.name), in: place.keys).readKeyPair()
    _ = try list.read()
    let store = URL(filePath: place.store)
    let logger = log.logger
    let lease = try StoreLease(
      store: store, program: Identity.name, software: Identity.software, waiting: { logger.notice("\($0)") },
      isCancelled: { stop.isRequested },
      onLoss: { error in
        logger.critical("\(error)")
        // At once: whatever is written from now on would be written into the other server's store.
        _exit(error.kind.exitCode)
      })
    do {
      // Again: it may have been changed while this waited.
      let owners = try list.read()
      let eventLog = try EventLog(store: store, program: Identity.name, observe: { log.record($0) })
      var transport = TransportOptions()
      // More than the answers to any window: a full queue would lose messages. What is under way is bounded by credits, and by what the
      // clients of deployments have read.
      transport.sendQueueMessages = 1024
      endpoint = try ZeroMQServerEndpoint(
        bind: place.address, connect: place.connect, keys: keys, authorized: owners,
        awaitsGuests: awaitsGuests, options: transport
      ) { refusal in
        log.refused(refusal)
        eventLog.note(
          LoggedEvent(
            .connectionRefused, owner: refusal.ownerKey, reason: "\(refusal)", suppressed: refusal.suppressed))
      }
      var configuration = ServiceConfiguration(store: store)
      configuration.eventLog = eventLog
      configuration.owners = ServedOwners(owners)
      self.configuration = configuration
      ownerCount = owners.keys.count
      self.eventLog = eventLog
    } catch {
      lease.release()
      throw error
    }
    self.lease = lease
    self.place = place
    owners = list
    self.log = log
    publicKey = keys.publicKey
  }

  /// Releases the store. Call when nothing writes to it any more.
  package func close() {
    endpoint.close()
    lease.release()
  }

  /// For the service: logs what it does, and keeps in the lease which jobs run.
  ///
  /// - Parameter role: logs what this kind of server alone does.
  package func observer<Role>(
    _ role: @escaping @Sendable (Role) -> Void
  ) -> @Sendable (ServiceEvent<Role>) -> Void {
    { [log, lease] event in
      switch event {
      case .jobStarted(let job, _): lease.jobStarted(job)
      case .jobPaused(let job, _, _), .jobFinished(let job, _), .jobRemoved(let job, _), .jobFailed(let job, _):
        lease.jobEnded(job)
      default: break
      }
      if case .role(let event) = event { role(event) } else { log.record(event) }
    }
  }

  /// Serves metrics for as long as what it returns lives; nil where no address is given.
  ///
  /// - Parameters:
  ///   - build: labels of this program's build beside the version.
  ///   - addRole: adds what this kind of server alone counts.
  package func serveMetrics(
    at address: LoopbackAddress?, build: [(String, String)] = [],
    addRole: @escaping @Sendable (inout MetricsText) -> Void = { _ in }
  ) throws -> MetricsServer? {
    try address.map { address in
      let labels = [("version", Identity.version)] + build
      return try MetricsServer(at: address) { [configuration, eventLog, endpoint] in
        configuration.metrics.text(
          program: Identity.name, build: labels, unwrittenEvents: eventLog.waitingCount,
          connectionRefusals: endpoint.refusalsByReason, addRole: addRole)
      }
    }
  }

  /// Says on standard output and in the store where the server is reached, reads the list of owners again when a signal asks for it,
  /// and serves.
  ///
  /// - Parameters:
  ///   - details: of the log's first line beside addresses and owners.
  ///   - checkPeers: what to do at SIGCONT.
  ///   - service: returns when the server is to end.
  package func run(
    signals: ServiceSignals, metrics: MetricsServer? = nil, details: Logger.Metadata = [:],
    checkPeers: @escaping @Sendable () -> Void = {}, service: () throws -> Void
  ) throws {
    defer { signals.serve(checkPeers: {}, reload: {}) }
    signals.serve(checkPeers: checkPeers, reload: reload)
    log.starting(
      endpoint: endpoint.listeningEndpoint, connecting: place.connect,
      owners: ownerCount, details: details)
    if let metrics { log.servingMetrics(at: "\(metrics.address)") }
    let record = EndpointRecord(
      listening: endpoint.listeningEndpoint, connecting: place.connect, publicKey: publicKey.z85)
    try record.write(to: configuration.store)
    defer { record.remove(from: configuration.store) }
    if let bound = endpoint.listeningEndpoint { print("listening \(bound)") }
    for owner in place.connect {
      print("connecting \(owner)")
      HostLookup.check(owner) { [log] problem in
        log.logger.warning(
          "an owner's address cannot be used yet; trying again",
          metadata: ["address": "\(owner)", "reason": "\(problem)"])
      }
    }
    fflush(nil)
    try withExtendedLifetime(metrics) { try service() }
  }

  private var reload: @Sendable () -> Void {
    { [endpoint, log, list = owners, served = configuration.owners] in
      guard case .file = list else { return log.logger.notice("nothing to read again") }
      do {
        let owners = try list.read()
        endpoint.authorize(owners.keys)
        served.replace(with: owners)
        log.logger.notice("authorized owners read again", metadata: ["owners": "\(owners.keys.count)"])
      } catch {
        log.logger.error("authorized owners kept as they were", metadata: ["reason": "\(error)"])
      }
    }
  }
}

extension Server {
  /// Serves one role from beginning to end, as most programs do: opens everything, runs, and releases it.
  ///
  /// - Parameters:
  ///   - details: of the log's first line beside addresses and owners.
  ///   - addMetrics: adds what this kind of server alone counts.
  ///   - record: logs what it alone does.
  ///   - makeHandler: called once the store is this server's.
  package static func serve<Handler: JobHandler>(
    _ place: ServerPlace<Identity>, owners: OwnerList, reports: ReportOptions, log: ServerLog,
    details: Logger.Metadata = [:], addMetrics: @escaping @Sendable (inout MetricsText) -> Void = { _ in },
    record: @escaping @Sendable (Handler.RoleEvent) -> Void = { _ in },
    as makeHandler: (ServiceConfiguration) throws -> Handler
  ) throws {
    // From here on, a stop is an orderly one.
    let stop = StopSwitch()
    let signals = ServiceSignals(stop: stop)
    do {
      let server = try Server(place, owners: owners, log: log, stop: stop)
      defer { server.close() }
      let metrics = try server.serveMetrics(at: reports.metrics, addRole: addMetrics)
      let service = try JobService(
        makeHandler(server.configuration), endpoint: server.endpoint, configuration: server.configuration, stop: stop,
        observe: server.observer(record))
      try server.run(signals: signals, metrics: metrics, details: details) { try service.run() }
    } catch is CancellationError {
      // It was to stop before it had the store.
    }
    log.logger.notice("stopped")
  }
}
