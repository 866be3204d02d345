import ArgumentParser
import Collectives
import Foundation
import Foundations
import Logging
import Numerics
import Protocol
import ServerProgram
import Service
import TrainerRole

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Take jobs from listed owners and train them, owner by owner.",
    discussion: """
      Prints `listening tcp://HOST:PORT` (and `connecting tcp://OWNER:PORT` for each --connect) on standard output when ready and logs to \
      standard error. SIGHUP reads --authorized again; SIGTERM \
      or Ctrl-C finishes the step, writes a checkpoint, tells the owners and exits 0. After a kill, the same command on the same --store \
      goes on with every job in it.

      Jobs run --jobs at a time and share processors and --memory-limit; next comes one of the owner with the fewest at work, then of the one \
      that has used the least processor time, then the one that came first. Where one has waited for --turn, a running job whose own turn is \
      over is saved after its step and goes to the end of the line: same weights, to the bit.

      A line of --authorized is an owner's public key and, each if it is wanted: memory=SIZE (of one job), disk=SIZE (rows and \
      checkpoints of all its jobs), queue=N (its jobs that may wait), # and a name. A job over a limit is refused when it is submitted. \
      After SIGHUP the jobs of an owner that is no longer listed stop at the end of a step and are kept; listed again, it can resume them.

      What multiplies is chosen by the processor's features and logged; a job's bits depend on it, so that a job that is gone on with on another \
      processor is refused unless --allow-other-kernel is given, which its history then tells.

      STORE/audit.log tells who submitted, resumed, retrieved, cancelled or was refused what and when; `trainer verify-log STORE` checks \
      it. While it cannot be written no job is taken.

      Owners may also have masked models hosted, for the questions of clients that need not be listed: a client's key is let in for the \
      deployment that names it. They are computed beside the jobs, in memory of their own (--deployment-memory).

      With --log-format json each line has time, level, message, rank (of MPI or Slurm, else 0) and, where it is about one, job.

      Under mpirun, or srun --mpi=pmix, its processes share every batch: rank 0 serves owners and keeps the store, the others compute \
      with it (a build with `make mpi`). Stop it by SIGTERM to rank 0.

      Example: trainer serve --keys keys --authorized owners.txt --store store --bind tcp://127.0.0.1:5570
        with metrics for Prometheus, and logs for a collector:
        trainer serve --keys keys --authorized owners.txt --store store --metrics 127.0.0.1:9464 --log-format json
        a line of owners.txt:
        rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 memory=4G disk=20G queue=2  # the clinic
      """)

  @OptionGroup
  var server: ServerOptions<Release>

  @Option(help: "Worker threads; results do not depend on it. (default: the processors this process may use)")
  var threads: Int?

  @Option(help: "Jobs that may run at a time; with several ranks only 1.")
  var jobs = 1

  @Option(
    help: ArgumentHelp(
      "How long a job runs while others wait, and one waits before a running one makes room: 30s, 10m, 2h.",
      valueName: "time"))
  var turn: TurnLength = TurnLength(seconds: 600)

  @Option(
    help: ArgumentHelp(
      "Most memory that running jobs may take together; a job that needs more alone is refused, others wait.",
      valueName: "size"))
  var memoryLimit: ByteCount = ByteCount(bytes: 8 << 30)

  @Option(
    help: ArgumentHelp(
      "Most disk for one job's masked rows; a job whose rows fit sends each row once.", valueName: "size"))
  var rowStoreLimit: ByteCount = ByteCount(bytes: 32 << 30)

  @Option(
    help: ArgumentHelp(
      "Most memory for the models and sessions of all deployments, beside the jobs'.", valueName: "size"))
  var deploymentMemory: ByteCount = ByteCount(bytes: 8 << 30)

  @Option(help: "Threads that answer the questions of deployments' clients. (default: as --threads)")
  var inferenceThreads: Int?

  @Flag(
    help:
      "Go on with jobs that began with another kernel than this processor has, to rounding the same and not to the bit, instead of refusing them."
  )
  var allowOtherKernel = false

  @OptionGroup
  var reports: ReportOptions

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
    guard (1...64).contains(jobs) else { throw ValidationError("--jobs must be 1 … 64") }
    guard TurnLength.allowed.contains(turn.seconds) else { throw ValidationError("--turn must be 1s … 24h") }
    if let inferenceThreads, !(1...1024).contains(inferenceThreads) {
      throw ValidationError("--inference-threads must be 1 … 1024")
    }
  }

  func run() throws {
    let communicator = try MPILaunch.join(environment: ProcessInfo.processInfo.environment)
    do {
      try communicator.agree(on: Release.version)
      try communicator.agree(onKernel: AvailableKernels().text)
      try run(communicator)
    } catch  where communicator.size > 1 {
      // The others would wait for this one for ever.
      let failure = error as? any Failure
      log(rank: communicator.rank).logger
        .critical("rank \(communicator.rank) failed", metadata: ["reason": "\(failure?.description ?? "\(error)")"])
      communicator.abort(code: (failure?.kind ?? .defect).exitCode)
    }
    communicator.finish()
  }

  /// - Parameter rank: nil for what the environment says.
  private func log(rank: Int?) -> ServerLog {
    ServerLog(program: Release.name, format: reports.logFormat, level: reports.logLevel, rank: rank)
  }

  private func run(_ communicator: any Communicator) throws {
    try TrainerConfiguration.check(jobsAtOnce: jobs, areReplicated: communicator.size > 1)
    let log = log(rank: communicator.size > 1 ? communicator.rank : nil)
    let compute = Compute(threads: threads ?? ThreadCount.standard())
    let stop = StopSwitch()
    guard communicator.rank == 0 else {
      // When to stop is for rank 0 to say, which saves first.
      stop.onRequest {
        log.logger.notice("asked to stop; this rank goes on until rank 0, which saves first, tells it to")
      }
      return try withExtendedLifetime(ServiceSignals(stop: stop)) {
        try TrainerWorker<Float>(communicator: communicator, compute: compute).run()
      }
    }
    // From here on, a stop is an orderly one.
    let isRequeued = ProcessInfo.processInfo.environment["SLURM_JOB_ID"] != nil
    let signals = ServiceSignals(stop: stop, isRequeued: isRequeued)
    do {
      try withExtendedLifetime(signals) { try serve(communicator, compute, log, stop, signals) }
    } catch is CancellationError {
      try TrainerWorker<Float>.stopAll(communicator)
    }
    log.logger.notice("stopped")
  }

  /// - Throws: `CancellationError` when it is to stop before it has the store.
  private func serve(
    _ communicator: any Communicator, _ compute: Compute, _ log: ServerLog, _ stop: StopSwitch,
    _ signals: ServiceSignals
  ) throws {
    let opened = try Server(server.place, owners: server.owners, awaitsGuests: true, log: log, stop: stop)
    defer { opened.close() }
    var service = opened.configuration
    service.jobsAtOnce = jobs
    service.turn = .seconds(turn.seconds)
    var configuration = TrainerConfiguration(
      service: service, compute: compute, memoryLimit: memoryLimit.bytes,
      rowStoreLimit: rowStoreLimit.bytes, software: Release.software, communicator: communicator)
    configuration.deploymentMemory = deploymentMemory.bytes
    configuration.allowsOtherKernel = allowOtherKernel
    if let inferenceThreads { configuration.inferenceCompute = Compute(threads: inferenceThreads) }
    let kernel = KernelChoice.ofThisProcess
    let metrics = try opened.serveMetrics(at: reports.metrics, build: [("kernel", OpenBLAS.kernelName)]) {
      [configuration, limit = memoryLimit.bytes] in
      configuration.metrics.add(to: &$0, memoryLimit: limit)
      configuration.deploymentMetrics.add(to: &$0, memoryLimit: configuration.deploymentMemory)
    }
    let trainer = try TrainerService<Float>(
      endpoint: opened.endpoint, configuration: configuration, stop: stop,
      observe: opened.observer { log.record($0) })
    try opened.run(
      signals: signals, metrics: metrics,
      details: [
        "threads": "\(compute.workers.threads)", "jobs": "\(jobs)", "ranks": "\(communicator.size)",
        "kernel": "\(kernel.summary)", "bfloat16": "\(KernelPath.ofThisProcessor.rawValue)",
      ],
      checkPeers: { communicator.checkRanks() }
    ) {
      if let advice = kernel.advice { log.logger.warning("\(advice)") }
      try trainer.run()
    }
  }
}

/// A time as people write it: 90s, 10m, 2h; a number alone is seconds.
struct TurnLength: ExpressibleByArgument {
  static let allowed = 1...86_400

  let seconds: Int

  init(seconds: Int) {
    self.seconds = seconds
  }

  init?(argument: String) {
    let units = ["s": 1, "m": 60, "h": 3600]
    let unit = argument.last.flatMap { units[String($0)] }
    let digits = unit == nil ? argument[...] : argument.dropLast()
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(digits) else { return nil }
    let (seconds, overflow) = count.multipliedReportingOverflow(by: unit ?? 1)
    guard !overflow else { return nil }
    self.seconds = seconds
  }

  var defaultValueDescription: String { "\(seconds / 60)m" }
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
