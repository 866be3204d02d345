import Foundations
import ArgumentParser
import Foundation
import JobSpec
import Masking
import Models
import OwnerRole
import Numerics
import Protocol

/// A run directory that exists.
struct RunDirectoryOption: ParsableArguments {
  @Argument(help: "The run directory.", completion: .directory)
  var run: String

  var directory: RunDirectory { RunDirectory(root: URL(filePath: run)) }

  /// The run's state, its resolved job, and a connection to its trainer.
  func open(checkFiles: Bool = false) throws -> OpenedRun {
    let state = try RunState.load(directory)
    return OpenedRun(
      directory: directory, state: state,
      job: try ResolvedJob.load(path: directory.resolvedJob.path, checkFiles: checkFiles))
  }
}

/// An existing run and what is needed to connect to its trainer.
struct OpenedRun {
  let directory: RunDirectory
  let state: RunState
  let job: ResolvedJob

  func owner() throws -> CurveKeyPair {
    try KeyFile(.owner, in: state.keys).readKeyPair()
  }

  /// A connection about the run's own job, or about a new one.
  ///
  /// - Parameter listen: where to wait for the trainer instead of connecting to it.
  func connect(job: JobID? = nil, listen: String?) throws -> TrainerConnection<Float> {
    guard let trainer = CurvePublicKey(z85: state.trainerKey) else {
      throw OwnerError.run("\(directory.runState.path) holds no trainer key")
    }
    let place = try TrainerPlace(endpoint: state.trainer, listen: listen, ownerKeys: try owner(), trainerKey: trainer)
    return TrainerConnection(
      channel: place.channel, job: job ?? state.job, software: Release.software, peer: place.peer)
  }

  /// Connects and greets; says so when the trainer does not answer at once.
  func greet(job: JobID? = nil, listen: String?, patience: Int) throws -> TrainerConnection<Float> {
    let connection = try connect(job: job, listen: listen)
    do {
      try connection.greet(
        patience: .seconds(patience),
        waiting: { reason in
          StandardError.write("\(reason); waiting for it for up to \(QuantityText.duration(Double(patience)))\n")
        })
    } catch {
      connection.close()
      throw error
    }
    return connection
  }

  func shape() throws -> JobShape {
    try JobShape(job: job, data: state.data)
  }
}

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show a run's state at the trainer.",
    discussion: "Example: encryptor status runs/pbmc --json")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let opened = try selected.open()
    let precision = opened.job.train.precision
    if [.finished, .masked, .cancelled].contains(opened.state.phase) {
      try show(StatusReport(phase: opened.state.phase.rawValue, precision: precision, trainer: nil))
      return
    }
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    try show(
      StatusReport(phase: opened.state.phase.rawValue, precision: precision, trainer: try connection.status()))
  }

  private func show(_ report: StatusReport) throws {
    guard !json else {
      print(try JSONText.of(report))
      return
    }
    guard let trainer = report.trainer else {
      print(report.phase)
      return
    }
    var line = "\(trainer.state.rawValue), step \(trainer.step) of \(trainer.totalSteps)"
    if trainer.queuePosition > 0 { line += ", place \(trainer.queuePosition) in the queue" }
    if let failure = trainer.failure { line += ": \(failure)" }
    print(line)
    if report.precision != .float32 {
      print("computes in \(report.precision.rawValue)" + (trainer.kernels?.last.map { " by \($0.kernel)" } ?? ""))
    }
  }
}

/// `status --json`.
struct StatusReport: Codable {
  /// The owner's side: prepared, training, detached, masked, finished, cancelled.
  let phase: String
  let precision: TrainingPrecision
  /// What the trainer says; absent once the run is over.
  let trainer: JobStatus?
}

struct CancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Stop a job and remove it from the trainer.",
    discussion: "Example: encryptor cancel runs/pbmc")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>

  func run() throws {
    let opened = try selected.open()
    guard opened.state.phase != .finished, opened.state.phase != .masked else {
      throw OwnerError.run("the run is finished; nothing to cancel")
    }
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    try connection.send(.cancel)
    try connection.waitFor { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    // Read again: a process that works on the run may have changed it; that process checks for this phase.
    var state = try RunState.load(opened.directory)
    state.phase = .cancelled
    try state.save(opened.directory)
    print("cancelled")
  }
}
