import Models
import ArgumentParser
import Dispatch
import Files
import Foundations
import Foundation
import JobSpec
import Masking
import OwnerRole
import Protocol

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Submit a job, train it, and retrieve the unmasked weights.",
    discussion: """
      The run directory gets job.resolved.yaml, plan.h5, initial.safetensors, history.jsonl, summary.json and model/. After a kill, a lost \
      trainer or Ctrl-C the same command with --resume goes on where the last checkpoint is; the weights are the same to the bit.

      Example: encryptor run jobs/pbmc.yaml --keys keys --trainer-key trainer.pub --out runs/pbmc
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var keys: KeyOptions
  @OptionGroup var processing: ProcessingOptions<OwnerWords>
  @OptionGroup var audit: AuditOption
  @OptionGroup var place: ListenOption<OwnerWords>

  @Option(name: .customLong("out"), help: "The run directory to make.", completion: .directory)
  var output: String

  @Flag(help: "Resume the run in --out.")
  var resume = false

  func run() throws {
    let launch = RunLaunch(
      job: job, keys: keys, processing: processing, audit: audit, listen: place.listen, output: output, detach: false)
    try launch.start(resume: resume)
  }
}

struct SubmitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Upload a job whose loss the trainer computes, and leave.",
    discussion: """
      Sends masked weights, rows and labels; the trainer goes on by itself. Come back with `encryptor status RUN` and \
      `encryptor retrieve RUN`. Without --detach it stays and follows, as `run` does. Needs loss.where: trainer.

      Example: encryptor submit job.yaml --set loss.where=trainer --keys keys --trainer-key trainer.pub --out runs/a --detach
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var keys: KeyOptions
  @OptionGroup var processing: ProcessingOptions<OwnerWords>
  @OptionGroup var audit: AuditOption
  @OptionGroup var place: ListenOption<OwnerWords>

  @Option(name: .customLong("out"), help: "The run directory to make.", completion: .directory)
  var output: String

  @Flag(help: "Leave once everything is uploaded.")
  var detach = false

  @Flag(help: "Resume the upload of the run in --out.")
  var resume = false

  func run() throws {
    let launch = RunLaunch(
      job: job, keys: keys, processing: processing, audit: audit, listen: place.listen, output: output, detach: detach)
    try launch.start(resume: resume)
  }
}

/// What `run` and `submit` share: options, progress and summary of a run.
struct RunLaunch {
  let job: JobOptions
  let keys: KeyOptions
  let processing: ProcessingOptions<OwnerWords>
  let audit: AuditOption
  /// Where to wait for the trainer instead of connecting to it.
  let listen: String?
  let output: String
  let detach: Bool

  func start(resume: Bool) throws {
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    let resolved = try job.load()
    if detach, resolved.lossLocation != .trainer {
      throw OwnerError.unfitJob("--detach needs the loss at the trainer; set loss.where: trainer in the job")
    }
    // A run that is resumed passed the check when it began.
    if !resume { try audit.check(resolved) }
    let owner = try keys.owner()
    let trainer = try keys.trainer()
    let directory = RunDirectory(root: URL(filePath: output))
    var lease: RunLease?
    defer { lease?.release() }
    if resume {
      _ = try RunState.load(directory)
      lease = try RunHold.take(directory, interruption)
    }
    let prepared = try PreparedJob(
      job: resolved, secret: OrderSecret(owner: owner, seed: resolved.train.seed),
      noiseMultiplier: resume && resolved.privacy != nil ? StepLedger.noiseMultiplier(of: directory) : nil)
    if !resume {
      try directory.create()
      lease = try RunHold.take(directory, interruption)
    }
    let (state, master) =
      resume
      ? try RunState.resume(directory, prepared: prepared, trainerKey: trainer.z85)
      : try RunSetup.create(
        directory, prepared: prepared, trainer: resolved.trainer, trainerKey: trainer.z85,
        keys: URL(filePath: keys.keys).standardizedFileURL.path)
    try KernelNotice.show(forKeysOf: state.keyExpansion)
    if state.phase == .finished {
      print("already finished: \(directory.model.path)")
      return
    }
    if state.phase == .masked {
      print("already retrieved, masked: \(directory.maskedWeights.path); open it with encryptor unmask \(output)")
      return
    }
    if state.phase == .cancelled { throw OwnerError.run("the run was cancelled; start a new one in another --out") }
    let progress = ProgressDisplay(job: prepared, patience: processing.patience)
    progress.showPlan()
    let place = try TrainerPlace(endpoint: state.trainer, listen: listen, ownerKeys: owner, trainerKey: trainer)
    let run = try MaskedRun<Float>(
      prepared: prepared, directory: directory, state: state, masterKey: master, channel: place.channel,
      options: RunOptions(
        compute: processing.compute, patience: .seconds(processing.patience), detach: detach,
        software: Release.software, peer: place.peer),
      interruption: interruption, observe: { progress.show($0) })
    defer { progress.end() }
    let report: RunReport?
    do {
      report = try run.execute()
    } catch OwnerError.trainerGone(let what) {
      throw OwnerError.trainerGone("\(what). Everything is saved here: continue with --resume")
    }
    progress.end()
    if let report {
      print(SummaryTable(report: report, task: resolved.task, model: directory.model.path).text)
    } else {
      print("submitted \(state.job); the trainer goes on by itself: encryptor status \(output)")
    }
  }
}

/// Keeps a directory for this process until it ends.
enum RunHold {
  static func take(_ directory: RunDirectory, _ interruption: Interruption) throws -> RunLease {
    try RunLease(
      directory, waiting: waiting, isCancelled: { interruption.isRequested }, onLoss: end)
  }

  static func take(_ directory: DeploymentDirectory) throws -> DirectoryLease {
    try directory.lease(waiting: waiting, onLoss: end)
  }

  static func take(_ directory: ClientDirectory, _ interruption: Interruption) throws -> DirectoryLease {
    try directory.lease(waiting: waiting, isCancelled: { interruption.isRequested }, onLoss: end)
  }

  private static func waiting(_ reason: String) {
    StandardError.write(reason + "\n")
  }

  /// At once: whatever is written from now on would be written into what the other process has.
  @Sendable private static func end(_ error: OwnerError) {
    StandardError.write("encryptor: \(error.description)\n")
    _exit(error.kind.exitCode)
  }
}

/// Turns the first Ctrl-C or SIGTERM into an orderly stop; the second ends the process at once.
struct InterruptSignals {
  private let watch: SignalWatch

  init(_ interruption: Interruption) {
    watch = SignalWatch([SIGINT, SIGTERM]) { _ in
      // At once and without cleanup, which would race with the working thread; a run survives any kill.
      if interruption.isRequested { _exit(FailureKind.unreachable.exitCode) }
      interruption.request()
      StandardError.write("\(StandardError.isTerminal ? "\n" : "")saving; press Ctrl-C again to leave at once\n")
    }
  }
}
