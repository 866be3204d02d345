import ArgumentParser
import Collectives
import Dispatch
import Failures
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

      Under mpirun, or srun --mpi=pmix, its processes share every batch: rank 0 serves owners and keeps the store, the others compute \
      with it (a build with `make mpi`). Stop it by SIGTERM to rank 0.

      Example: trainer serve --keys keys --authorized owners.txt --store store --bind tcp://127.0.0.1:5570
      """)

  @Option(help: "Directory with trainer.key, as `trainer keygen` makes it.", completion: .directory)
  var keys: String

  @Option(help: "File of owners let in: one public key a line, # comments.", completion: .file())
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

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
  }

  func run() throws {
    let communicator = try MPILaunch.join(environment: ProcessInfo.processInfo.environment)
    do {
      try run(communicator)
    } catch where communicator.size > 1 {
      // The others would wait for this one for ever.
      let failure = error as? any Failure
      StandardError.write("trainer: rank \(communicator.rank): \(failure?.description ?? "\(error)")\n")
      communicator.abort(code: (failure?.kind ?? .defect).exitCode)
    }
    communicator.finish()
  }

  private func run(_ communicator: any Communicator) throws {
    let logger = TrainerLog.make(format: logFormat, level: logLevel)
    let workers = Workers(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    guard communicator.rank == 0 else {
      // When to stop is for rank 0 to say, which saves first.
      let signals = ServiceSignals(stop: StopSwitch()) {}
      return try withExtendedLifetime(signals) {
        try TrainerWorker<Float>(communicator: communicator, workers: workers).run()
      }
    }
    try serve(communicator, workers, logger)
  }

  private func serve(_ communicator: any Communicator, _ workers: Workers, _ logger: Logger) throws {
    let stop = StopSwitch()
    let keyPair = try KeyFile(.trainer, in: keys).readKeyPair()
    let owners = try AuthorizedKeys.read(at: authorized)
    let log = TrainerLog(logger: logger)
    var options = TransportOptions()
    // More than the answers to any window: what is under way is bounded by credits, and a full queue would lose messages.
    options.sendQueueMessages = 1024
    let endpoint = try ZeroMQTrainerEndpoint(
      bind: bind, keys: keyPair, authorized: owners, options: options, onRefusal: { log.refused($0) })
    defer { endpoint.close() }
    let service = try TrainerService<Float>(
      endpoint: endpoint,
      configuration: TrainerConfiguration(
        store: URL(filePath: store), workers: workers, memoryLimit: memoryLimit.bytes,
        rowStoreLimit: rowStoreLimit.bytes,
        software: Release.software, communicator: communicator),
      stop: stop, observe: { log.record($0) })
    let signals = ServiceSignals(stop: stop, checkRanks: { communicator.checkRanks() }) {
      do {
        let owners = try AuthorizedKeys.read(at: authorized)
        endpoint.authorize(owners.keys)
        logger.notice("authorized owners read again", metadata: ["owners": "\(owners.keys.count)"])
      } catch {
        logger.error("authorized owners kept as they were", metadata: ["reason": "\(error)"])
      }
    }
    log.starting(endpoint: endpoint.boundEndpoint, owners: owners.keys.count, threads: workers.threads, ranks: communicator.size)
    print("listening \(endpoint.boundEndpoint)")
    fflush(nil)
    try withExtendedLifetime(signals) { try service.run() }
    logger.notice("stopped")
  }
}
