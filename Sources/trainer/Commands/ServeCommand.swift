import ArgumentParser
import Collectives
import Dispatch
import Foundations
import Foundation
import Logging
import Synchronization
import Numerics
import TrainerRole
import Protocol

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Take jobs from listed owners and train them, one at a time.",
    discussion: """
      Prints `listening tcp://HOST:PORT` (and `connecting tcp://OWNER:PORT` for each --connect) on standard output when ready and logs to \
      standard error. SIGHUP reads --authorized again; SIGTERM \
      or Ctrl-C finishes the step, writes a checkpoint, tells the owners and exits 0. After a kill, the same command on the same --store \
      goes on with every job in it.

      A line of --authorized is an owner's public key and, each if it is wanted: memory=SIZE (of one job), disk=SIZE (rows and \
      checkpoints of all its jobs), queue=N (its jobs that may wait), # and a name. A job over a limit is refused when it is submitted. \
      After SIGHUP the jobs of an owner that is no longer listed stop at the end of a step and are kept; listed again, it can resume them.

      STORE/audit.log tells who submitted, resumed, retrieved, cancelled or was refused what and when; `trainer verify-log STORE` checks \
      it. While it cannot be written no job is taken.

      With --log-format json each line has time, level, message, rank (of MPI or Slurm, else 0) and, where it is about one, job.

      Under mpirun, or srun --mpi=pmix, its processes share every batch: rank 0 serves owners and keeps the store, the others compute \
      with it (a build with `make mpi`). Stop it by SIGTERM to rank 0.

      Example: trainer serve --keys keys --authorized owners.txt --store store --bind tcp://127.0.0.1:5570
        with metrics for Prometheus, and logs for a collector:
        trainer serve --keys keys --authorized owners.txt --store store --metrics 127.0.0.1:9464 --log-format json
        a line of owners.txt:
        rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 memory=4G disk=20G queue=2  # the clinic
      """)

  @Option(help: "Directory with trainer.key, as `trainer keygen` makes it.", completion: .directory)
  var keys: String

  @Option(help: "File of admitted owners, one per line: KEY memory=4G disk=20G queue=2 # name.", completion: .file())
  var authorized: String

  @Option(help: "Directory for jobs and checkpoints; made when missing.", completion: .directory)
  var store: String

  @Option(
    help: ArgumentHelp(
      "Where to listen; port 0 picks one. (default: tcp://127.0.0.1:5570, without --connect)", valueName: "address"))
  var bind: String?

  @Option(
    help: ArgumentHelp(
      "Address of an owner that listens (encryptor … --listen), for machines that can only make connections (repeatable).",
      valueName: "address"))
  var connect: [String] = []

  @Option(help: "Worker threads; results do not depend on it. (default: the processors this process may use)")
  var threads: Int?

  @Option(help: ArgumentHelp("Most memory one job may take.", valueName: "size"))
  var memoryLimit: ByteCount = ByteCount(bytes: 8 << 30)

  @Option(
    help: ArgumentHelp(
      "Most disk for one job's masked rows; a job whose rows fit sends each row once.", valueName: "size"))
  var rowStoreLimit: ByteCount = ByteCount(bytes: 32 << 30)

  @Option(help: "Log format: text or json (one object per line).")
  var logFormat: LogFormat = .text

  @Option(help: "Least severe messages to log: trace, debug, info, notice, warning, error.")
  var logLevel: Logger.Level = .info

  @Option(
    help: ArgumentHelp(
      "Serve Prometheus metrics at http://ADDRESS/metrics; a loopback address, port 0 picks one (logged).",
      valueName: "127.0.0.1:port"),
    transform: LoopbackAddress.init)
  var metrics: LoopbackAddress?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
  }

  func run() throws {
    let communicator = try MPILaunch.join(environment: ProcessInfo.processInfo.environment)
    do {
      try communicator.agree(on: Release.version)
      try run(communicator)
    } catch  where communicator.size > 1 {
      // The others would wait for this one for ever.
      let failure = error as? any Failure
      TrainerLog.make(format: logFormat, level: logLevel, rank: communicator.rank)
        .critical("rank \(communicator.rank) failed", metadata: ["reason": "\(failure?.description ?? "\(error)")"])
      communicator.abort(code: (failure?.kind ?? .defect).exitCode)
    }
    communicator.finish()
  }

  private func run(_ communicator: any Communicator) throws {
    let logger = TrainerLog.make(
      format: logFormat, level: logLevel, rank: communicator.size > 1 ? communicator.rank : nil)
    let compute = Compute(threads: threads ?? ThreadCount.standard())
    guard communicator.rank == 0 else {
      // When to stop is for rank 0 to say, which saves first.
      let stop = StopSwitch()
      stop.onRequest { logger.notice("asked to stop; this rank goes on until rank 0, which saves first, tells it to") }
      let signals = ServiceSignals(stop: stop)
      return try withExtendedLifetime(signals) {
        try TrainerWorker<Float>(communicator: communicator, compute: compute).run()
      }
    }
    // From here on, a stop is an orderly one.
    let stop = StopSwitch()
    let isRequeued = ProcessInfo.processInfo.environment["SLURM_JOB_ID"] != nil
    let signals = ServiceSignals(stop: stop, isRequeued: isRequeued)
    do {
      try withExtendedLifetime(signals) { try serve(communicator, compute, logger, stop, signals) }
    } catch is CancellationError {
      try TrainerWorker<Float>.stopAll(communicator)
    }
    logger.notice("stopped")
  }

  /// - Throws: `CancellationError` when it is to stop before it has the store.
  private func serve(
    _ communicator: any Communicator, _ compute: Compute, _ logger: Logger, _ stop: StopSwitch,
    _ signals: ServiceSignals
  ) throws {
    let keyPair = try KeyFile(.trainer, in: keys).readKeyPair()
    _ = try AuthorizedKeys.read(at: authorized)
    let log = TrainerLog(logger: logger)
    let directory = URL(filePath: store)
    let lease = try StoreLease(
      store: directory, software: Release.software, waiting: { logger.notice("\($0)") },
      isCancelled: { stop.isRequested },
      onLoss: { error in
        logger.critical("\(error)")
        // At once: whatever is written from now on would be written into the other trainer's store.
        _exit(error.kind.exitCode)
      })
    defer { lease.release() }
    // Again: it may have been changed while this waited.
    let owners = try AuthorizedKeys.read(at: authorized)
    let audit = try AuditLog(store: directory, observe: { log.record($0) })
    var options = TransportOptions()
    // More than the answers to any window: what is under way is bounded by credits, and a full queue would lose messages.
    options.sendQueueMessages = 1024
    let endpoint = try ZeroMQTrainerEndpoint(
      bind: bind ?? (connect.isEmpty ? "tcp://127.0.0.1:5570" : nil), connect: connect, keys: keyPair,
      authorized: owners, options: options
    ) { refusal in
      log.refused(refusal)
      audit.note(
        AuditEvent(.connectionRefused, owner: refusal.ownerKey, reason: "\(refusal)", suppressed: refusal.suppressed))
    }
    defer { endpoint.close() }
    var configuration = TrainerConfiguration(
      store: URL(filePath: store), compute: compute, memoryLimit: memoryLimit.bytes,
      rowStoreLimit: rowStoreLimit.bytes, software: Release.software, communicator: communicator)
    configuration.audit = audit
    configuration.owners = ServedOwners(owners)
    let metricsServer = try metrics.map { try serveMetrics(at: $0, configuration.metrics, of: endpoint, audit) }
    let service = try TrainerService<Float>(
      endpoint: endpoint, configuration: configuration, stop: stop,
      observe: { event in
        lease.record(event)
        log.record(event)
      })
    let served = configuration.owners
    defer { signals.serve(checkRanks: {}, reload: {}) }
    signals.serve(checkRanks: { communicator.checkRanks() }) {
      do {
        let owners = try AuthorizedKeys.read(at: authorized)
        endpoint.authorize(owners.keys)
        served.replace(with: owners)
        logger.notice("authorized owners read again", metadata: ["owners": "\(owners.keys.count)"])
      } catch {
        logger.error("authorized owners kept as they were", metadata: ["reason": "\(error)"])
      }
    }
    log.starting(
      endpoint: endpoint.listeningEndpoint, connecting: connect, owners: owners.keys.count,
      threads: compute.workers.threads,
      ranks: communicator.size)
    if let metricsServer { log.servingMetrics(at: "\(metricsServer.address)") }
    let place = EndpointRecord(
      listening: endpoint.listeningEndpoint, connecting: connect, publicKey: keyPair.publicKey.z85)
    try place.write(to: directory)
    defer { place.remove(from: directory) }
    if let bound = endpoint.listeningEndpoint { print("listening \(bound)") }
    for owner in connect {
      print("connecting \(owner)")
      HostLookup.check(owner) { problem in
        logger.warning("an owner's address; it is tried on", metadata: ["address": "\(owner)", "reason": "\(problem)"])
      }
    }
    fflush(nil)
    try withExtendedLifetime(metricsServer) { try service.run() }
  }

  private func serveMetrics(
    at address: LoopbackAddress, _ metrics: TrainerMetrics, of endpoint: ZeroMQTrainerEndpoint, _ audit: AuditLog
  ) throws -> MetricsServer {
    let memoryLimit = memoryLimit.bytes
    return try MetricsServer(at: address) {
      metrics.text(
        build: ["version": Release.version, "kernel": OpenBLAS.kernelName], memoryLimit: memoryLimit,
        auditWaiting: audit.waitingCount, connectionRefusals: endpoint.refusalsByReason)
    }
  }
}

/// SIGTERM and SIGINT ask for an orderly stop, SIGHUP for the list of owners to be read again. SIGCONT, which launchers send before all
/// others when one of several processes has died, asks whether all of them are there.
final class ServiceSignals {
  private typealias Action = @Sendable () -> Void

  private let watch: SignalWatch
  private let served: Served

  /// What can be done once the trainer serves.
  private final class Served: Sendable {
    let actions = Mutex<(reload: Action, checkRanks: Action)>(({}, {}))
  }

  /// - Parameter isRequeued: SIGTERM comes from a batch system that starts the trainer again.
  init(stop: StopSwitch, isRequeued: Bool = false) {
    let served = Served()
    self.served = served
    watch = SignalWatch([SIGTERM, SIGINT, SIGHUP, SIGCONT]) { signal in
      switch signal {
      case SIGHUP: served.actions.withLock(\.reload)()
      case SIGCONT: served.actions.withLock(\.checkRanks)()
      default: stop.request(preempted: isRequeued && signal == SIGTERM)
      }
    }
  }

  /// - Parameter checkRanks: what to do at SIGCONT, by which Open MPI's launcher announces that it ends a job.
  func serve(checkRanks: @escaping @Sendable () -> Void, reload: @escaping @Sendable () -> Void) {
    served.actions.withLock { $0 = (reload, checkRanks) }
  }
}

/// How many threads this process may use: the processors it is bound to, and no more than Slurm has given the task.
enum ThreadCount {
  /// The active processors are those of the process's affinity mask, which `taskset`, `mpirun --bind-to` and Slurm set.
  static func standard(environment: [String: String] = ProcessInfo.processInfo.environment) -> Int {
    let processors = ProcessInfo.processInfo.activeProcessorCount
    guard let given = environment["SLURM_CPUS_PER_TASK"].flatMap(Int.init), given > 0 else { return processors }
    return min(processors, given)
  }
}
