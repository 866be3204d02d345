import ArgumentParser
import Dispatch
import Foundation
import Logging
import Tensors
import TrainerSession
import Transport

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Take jobs from listed owners and train them, one at a time.",
    discussion: """
      Prints `listening tcp://HOST:PORT` on standard output when ready and logs to standard error. SIGHUP reads --authorized again; SIGTERM \
      or Ctrl-C finishes the step, writes a checkpoint, tells the owners and exits 0. After a kill, the same command on the same --store \
      goes on with every job in it.

      A line of --authorized is an owner's public key and, each if it is wanted: memory=SIZE (of one job), disk=SIZE (rows and \
      checkpoints of all its jobs), queue=N (its jobs that may wait), # and a name. A job over a limit is refused when it is submitted. \
      After SIGHUP the jobs of an owner that is no longer listed stop at the end of a step and are kept; listed again, it can resume them.

      STORE/audit.log tells who submitted, resumed, retrieved, cancelled or was refused what and when; `trainer verify-log STORE` checks \
      it. While it cannot be written no job is taken.

      With --log-format json each line has time, level, message, rank (of MPI or Slurm, else 0) and, where it is about one, job.

      Example: trainer serve --keys keys --authorized owners.txt --store store --bind tcp://127.0.0.1:5570
        with metrics for Prometheus, and logs for a collector:
        trainer serve --keys keys --authorized owners.txt --store store --metrics 127.0.0.1:9464 --log-format json
        a line of owners.txt:
        rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 memory=4G disk=20G queue=2  # the clinic
      """)

  @Option(help: "Directory with trainer.key, as `trainer keygen` makes it.", completion: .directory)
  var keys: String

  @Option(help: "File of owners let in: a line each, KEY memory=4G disk=20G queue=2 # name.", completion: .file())
  var authorized: String

  @Option(help: "Directory for jobs and checkpoints; made when missing.", completion: .directory)
  var store: String

  @Option(help: "Where to listen; port 0 picks one.")
  var bind: String = "tcp://127.0.0.1:5570"

  @Option(help: "Worker threads; results do not depend on it. (default: all cores)")
  var threads: Int?

  @Option(help: ArgumentHelp("Most memory one job may take.", valueName: "size"))
  var memoryLimit: ByteCount = ByteCount(bytes: 8 << 30)

  @Option(
    help: ArgumentHelp(
      "Most disk for one job's masked rows; a job whose rows fit sends each row once.", valueName: "size"))
  var rowStoreLimit: ByteCount = ByteCount(bytes: 32 << 30)

  @Option(help: "Log format: text or json (one object a line).")
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
    let stop = StopSwitch()
    let logger = TrainerLog.make(format: logFormat, level: logLevel)
    let keyPair = try KeyFile(.trainer, in: keys).readKeyPair()
    let owners = try AuthorizedKeys.read(at: authorized)
    let workers = Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    let log = TrainerLog(logger: logger)
    let audit = try AuditLog(store: URL(filePath: store))
    var options = TransportOptions()
    // More than the answers to any window: what is under way is bounded by credits, and a full queue would lose messages.
    options.sendQueueMessages = 1024
    let endpoint = try ZeroMQTrainerEndpoint(
      bind: bind, keys: keyPair, authorized: owners, options: options
    ) { refusal in
      log.refused(refusal)
      audit.note(
        AuditEvent(.connectionRefused, owner: refusal.ownerKey, reason: "\(refusal)", suppressed: refusal.suppressed))
    }
    defer { endpoint.close() }
    var configuration = TrainerConfiguration(
      store: URL(filePath: store), workers: workers, memoryLimit: memoryLimit.bytes,
      rowStoreLimit: rowStoreLimit.bytes, software: Release.software)
    configuration.audit = audit
    configuration.owners = ServedOwners(owners)
    let metricsServer = try metrics.map { try serveMetrics(at: $0, configuration.metrics, of: endpoint, audit) }
    let service = try TrainerService<Float>(
      endpoint: endpoint, configuration: configuration, stop: stop, observe: { log.record($0) })
    let served = configuration.owners
    let signals = ServiceSignals(stop: stop) {
      do {
        let owners = try AuthorizedKeys.read(at: authorized)
        endpoint.authorize(owners.keys)
        served.replace(with: owners)
        logger.notice("authorized owners read again", metadata: ["owners": "\(owners.keys.count)"])
      } catch {
        logger.error("authorized owners kept as they were", metadata: ["reason": "\(error)"])
      }
    }
    log.starting(endpoint: endpoint.boundEndpoint, owners: owners.keys.count, threads: workers.threads)
    if let metricsServer { log.servingMetrics(at: "\(metricsServer.address)") }
    print("listening \(endpoint.boundEndpoint)")
    fflush(nil)
    try withExtendedLifetime((signals, metricsServer)) { try service.run() }
    logger.notice("stopped")
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
