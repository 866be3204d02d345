import Datasets
import JobSpec
import Models
import Files
import Foundation
package import Masking
package import Numerics
import Training
package import Protocol

/// One run from prepared job to unmasked weights: submit, train, retrieve. A resume makes a new one; what it needs beyond the run
/// directory is derived again from the same job, file and keys.
package final class MaskedRun<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let directory: RunDirectory
  private let options: RunOptions
  private let interruption: Interruption
  private let observe: (RunEvent) -> Void
  private let connection: TrainerConnection<Element>
  private let keys: JobKeys<Element>
  private let masterKey: MasterKey
  private var state: RunState
  private let clock = ContinuousClock()
  private var times = PhaseTimes()
  private var bytesAddedToWeights = 0

  /// - Parameters:
  ///   - directory: a run directory that `RunSetup` wrote.
  ///   - channel: connected to the trainer the state names.
  package init(
    prepared: PreparedJob, directory: RunDirectory, state: RunState, masterKey: MasterKey,
    channel: any OwnerChannel, options: RunOptions, interruption: Interruption, observe: @escaping (RunEvent) -> Void
  ) throws {
    self.prepared = try prepared.drawn(from: masterKey)
    self.directory = directory
    self.state = state
    self.options = options
    self.interruption = interruption
    self.observe = observe
    connection = TrainerConnection(
      channel: channel, job: state.job, software: options.software, peer: options.peer,
      silence: options.silence)
    connection.narrowsValues = prepared.description.precision.narrowsValues
    self.masterKey = masterKey
    keys = JobKeys(master: masterKey, plan: prepared.shape.keyPlan, compute: options.compute)
  }

  /// - Returns: the report, or nil after a detached upload.
  /// - Throws: `OwnerError`, `DatasetError`, `FileError`; the run can be resumed after any of them.
  package func execute() throws -> RunReport? {
    let start = clock.now
    defer { connection.close() }
    // Expanding the keys keeps every core busy for a moment, while files and the handshake mostly wait.
    let keys = keys
    DispatchQueue.global(qos: .userInitiated).async { keys.expand() }
    let ledger = try openLedger()
    let drawn = drawnBatches
    if drawn != nil { observe(.began("drawing the batches")) }
    try RunSetup.writePlan(prepared, drawn: drawn, to: directory, progress: showProgress)
    try trainer.greet(steps: try RunHistory(directory).steps)
    // Before any row is masked: a job that the trainer refuses costs nothing.
    try trainer.run(history: nil) { _ = try submit() }
    let (samples, standardization) = try readSamples()
    let context = RunContext(
      prepared: prepared, keys: keys, samples: samples, connection: connection, history: try RunHistory(directory),
      ledger: ledger, times: times, interruption: interruption, observe: observe)
    return try trainer.run(history: context) {
      guard try train(context) else { return nil }
      let status = try retrieve(standardization: standardization)
      let report = try makeReport(context, status: status, start: start, waited: connection.waited)
      try finish(report)
      return report
    }
  }

  /// Of a private job: nothing is sent without what says that its noise is for the same rows, and how many steps it has covered.
  ///
  /// - Throws: `OwnerError.run` for a run that has begun and has lost either; as `StepLedger`.
  private func openLedger() throws -> StepLedger? {
    guard let privacy = prepared.privacy else { return nil }
    let isBegun = state.phase != .prepared
    if isBegun, try DataDigest.read(directory) == nil {
      throw OwnerError.run(
        "\(directory.dataDigest.path) is gone, so that nobody can tell whether the data is that of the steps before, and the same noise on other "
          + "rows would show their difference; restore it, or begin anew with another --out")
    }
    return try StepLedger(directory, privacy, isBegun: isBegun)
  }

  /// Of a private job.
  private var drawnBatches: DrawnBatches? {
    guard prepared.privacy != nil else { return nil }
    let plan = prepared.plan
    var batches = PlannedBatches(plan)
    return DrawnBatches(steps: plan.totalSteps, columns: plan.batch) { step in
      try batches.slots(ofStep: step).map { plan.rowOfSlot[Int($0)] }
    }
  }

  private var trainer: TrainerWait<Element> {
    TrainerWait(
      connection: connection, patience: options.patience, isInterrupted: { [interruption] in interruption.isRequested },
      observe: observe)
  }

  private func showProgress(done: Int, of total: Int) throws {
    if interruption.isRequested { throw OwnerError.interrupted(step: try RunHistory(directory).steps) }
    observe(.advanced(done: done, total: total))
  }

  private func readSamples() throws -> (any MaskedSamples<Element>, Standardization?) {
    var standardization: Standardization?
    if case .features(let source) = prepared.source {
      standardization = try fitStandardization(source)
      observe(.began("reading and masking rows"))
    } else {
      observe(.began("reading tokens"))
    }
    let (samples, hash) = try prepared.readSamples(
      keys: keys, master: masterKey, noise: InputNoise(prepared.job.masking, master: masterKey, for: .training),
      standardization: standardization, scratch: directory.state, times: &times, progress: showProgress)
    try checkData(features: hash)
    return (samples, standardization)
  }

  /// Keeps the digest of the data, or compares it with the one that is kept, before anything of it is sent.
  ///
  /// - Throws: `OwnerError.unfitData` for other data than the run began with.
  private func checkData(features: UInt64) throws {
    let digest = DataDigest(prepared, features: features)
    if let kept = try DataDigest.read(directory) { return try kept.check(digest, file: prepared.job.data.file) }
    if state.phase != .prepared {
      observe(
        .warning(
          "the run began with a version that kept no digest of its data; whether the data is the same cannot be checked"
        ))
    }
    if try DataNames.read(directory.names) == nil { try prepared.names.write(to: directory.names) }
    try digest.write(directory)
  }

  private func fitStandardization(_ source: any FeatureSource) throws -> Standardization? {
    guard prepared.job.data.standardize else { return nil }
    let file = directory.standardization
    if let known = try ModelDirectory.readStandardization(file) { return known }
    observe(.began("fitting the standardisation"))
    let fitted = try times.reading.measure { try Standardization.fit(source, rows: prepared.split.training) }
    try ModelDirectory.writeStandardization(fitted, to: file)
    return fitted
  }

  /// Proposes the job and uploads the starting weights when the trainer has none.
  ///
  /// - Returns: how many rows and steps of its plan the trainer has stored.
  private func submit() throws -> (rows: Int, steps: Int) {
    let specifications = prepared.shape.structure.parameters
    let initial = prepared.shape.startingWeights(secret: prepared.secret)
    let accepted = try JobSubmission(
      connection: connection, description: prepared.description, specifications: specifications
    ).send { index in
      let specification = specifications[index]
      let plain: Tensor<Element> = try initial.tensor(specification)
      guard plain.allFinite else {
        throw OwnerError.unfitData(
          "\(specification.name) of the checkpoint holds NaN or an infinity; start from finite weights")
      }
      return try times.masking.measure { try keys.maskParameter(plain, specification) }
    } uploading: {
      observe(.began("uploading masked weights"))
    } progress: {
      observe(.advanced(done: $0, total: $1))
    }
    if accepted.isUploaded { bytesAddedToWeights += paddingBytes }
    return (accepted.rows, accepted.steps)
  }

  /// Bytes that the first layer's weights have beyond unmasked ones: the padding's columns.
  private var paddingBytes: Int {
    prepared.shape.structure.parameters.reduce(0) { total, parameter in
      total + (parameter.shape.first ?? 0) * (parameter.homogeneous?.padding ?? 0) * MemoryLayout<Element>.size
    }
  }

  /// - Returns: false after a detached upload, true when the job is finished at the trainer.
  private func train(_ context: RunContext<Element>) throws -> Bool {
    try checkNotCancelled()
    let accepted = try submit()
    guard prepared.description.lossLocation == .trainer else {
      try setPhase(.training)
      try OwnerLossTraining.run(context)
      return true
    }
    let training = TrainerLossTraining(context)
    switch try connection.status().state {
    case .uploading: try training.upload(storedRows: accepted.rows, storedSteps: accepted.steps)
    // A temporary cause, such as a full disk, had stopped it there.
    case .waitingForOwner: try training.start()
    case .queued, .running, .hosted, .finished, .failed: break
    }
    try setPhase(options.detach ? .detached : .training)
    if options.detach { return false }
    try training.follow()
    return true
  }

  private func setPhase(_ phase: RunState.Phase) throws {
    guard state.phase != phase else { return }
    try checkNotCancelled()
    state.phase = phase
    try state.save(directory)
  }

  /// - Throws: `OwnerError.run` when `cancel` was called for this run directory meanwhile.
  private func checkNotCancelled() throws {
    guard try RunState.load(directory).phase == .cancelled else { return }
    throw OwnerError.run("the run was cancelled; start a new one in another --out")
  }

  private func retrieve(standardization: Standardization?) throws -> JobStatus {
    observe(.began("retrieving the weights"))
    let status = try connection.status()
    try ResultRetrieval(connection: connection, shape: prepared.shape, keys: keys)
      .write(to: directory, standardization: standardization) { self.observe(.advanced(done: $0, total: $1)) }
    return status
  }

  private func finish(_ report: RunReport) throws {
    if let privacy = report.privacy { try RunFile.write(privacy, to: directory.privacy) }
    try RunFile.write(report, to: directory.summary)
    try setPhase(.finished)
    connection.release()
  }

  private func makeReport(
    _ context: RunContext<Element>, status: JobStatus, start: ContinuousClock.Instant, waited: Duration
  ) throws -> RunReport {
    let evaluations = context.history.records.filter { record in
      if case .evaluation = record { return true }
      return false
    }
    var keptEpoch: Int?
    for case .evaluation(let epoch, _, _, _, true, _) in evaluations { keptEpoch = epoch }
    let description = prepared.description
    return RunReport(
      job: state.job, evaluations: evaluations,
      keptEpoch: description.keep == .best ? keptEpoch : description.epochs - 1, steps: description.totalSteps,
      trainingRows: description.trainingRows, epochs: description.epochs, rowsSeen: description.totalRows,
      seconds: .init(
        total: start.duration(to: clock.now) / .seconds(1), reading: context.times.reading.seconds,
        masking: context.times.masking.seconds, waitingForTrainer: waited / .seconds(1),
        loss: context.times.loss.seconds),
      bytesSent: connection.bytesSent, bytesReceived: connection.bytesReceived,
      expansion: Double(connection.bytesSent)
        / Double(
          max(1, connection.bytesSent + connection.bytesSaved - context.bytesAddedToRows - bytesAddedToWeights)),
      ownerCPUSeconds: ProcessorTime.ofThisProcess, trainerCPUSeconds: status.processorSeconds,
      precision: description.precision, kernels: context.history.kernels.isEmpty ? nil : context.history.kernels,
      privacy: try prepared.privacy.map {
        try JobPrivacyReport($0, counted: context.ledger?.steps ?? 0, taken: description.totalSteps)
      })
  }
}
