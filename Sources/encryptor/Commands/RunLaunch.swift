import Architecture
import Dispatch
import Foundation
import JobSpec
import Masking
import OwnerSession
import Transport
import Wire

/// What `run` and `submit` share: from options to a run, its progress and its summary.
struct RunLaunch {
  let job: JobOptions
  let keys: KeyOptions
  let processing: ProcessingOptions
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
    // What is under way has been let through before.
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
    let prepared = try PreparedJob(job: resolved, secret: OrderSecret(owner: owner, seed: resolved.train.seed))
    if !resume {
      try directory.create()
      lease = try RunHold.take(directory, interruption)
    }
    let (state, master) =
      resume
      ? try reopen(directory, prepared: prepared, trainerKey: trainer)
      : try RunSetup.create(
        directory, prepared: prepared, trainer: resolved.trainer, trainerKey: trainer.z85,
        keys: URL(filePath: keys.keys).standardizedFileURL.path)
    if state.phase == .finished {
      print("already finished: \(directory.model.path)")
      return
    }
    if state.phase == .cancelled { throw OwnerError.run("the run was cancelled; start a new one in another --out") }
    let progress = ProgressDisplay(job: prepared, patience: processing.patience)
    progress.showPlan()
    let place = try TrainerPlace(endpoint: state.trainer, listen: listen, ownerKeys: owner, trainerKey: trainer)
    let run = try MaskedRun<Float>(
      prepared: prepared, directory: directory, state: state, masterKey: master, channel: place.channel,
      options: RunOptions(
        workers: processing.workers, patience: .seconds(processing.patience), detach: detach,
        software: Release.software, peer: place.peer),
      interruption: interruption, observe: { progress.show($0) })
    defer { progress.end() }
    let report: RunReport?
    do {
      report = try run.execute()
    } catch OwnerError.trainerGone(let what) {
      throw OwnerError.trainerGone("\(what). Everything is saved here: go on with --resume")
    }
    progress.end()
    if let report {
      print(SummaryTable(report: report, task: resolved.task, model: directory.model.path).text)
    } else {
      print("submitted \(state.job); the trainer goes on by itself: encryptor status \(output)")
    }
  }

  /// The state of an earlier start and its master key. The trainer may have moved; everything else must be as it was.
  private func reopen(
    _ directory: RunDirectory, prepared: PreparedJob, trainerKey: CurvePublicKey
  ) throws -> (RunState, MasterKey) {
    var state = try RunState.load(directory)
    let earlier = try ResolvedJob.load(
      path: directory.resolvedJob.path, overrides: ["trainer=\(prepared.job.trainer)"], checkFiles: false)
    guard earlier == prepared.job else {
      throw OwnerError.run(
        "the job differs from \(directory.resolvedJob.path); resume with the same job, or choose another --out")
    }
    try state.check(prepared, directory)
    let master = try OpenedRun.masterKey(directory, state)
    if (state.trainer, state.trainerKey) != (prepared.job.trainer, trainerKey.z85), state.phase != .finished {
      state.trainer = prepared.job.trainer
      state.trainerKey = trainerKey.z85
      try state.save(directory)
    }
    return (state, master)
  }
}
