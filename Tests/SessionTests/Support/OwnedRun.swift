import Foundation
import JobSpec
import Masking
import OwnerRole
import Numerics
import Protocol

/// An owner's run as the programs make and reopen it.
struct OwnedRun<Element: FloatingElement> {
  let keys: CurveKeyPair
  let prepared: PreparedJob
  let directory: RunDirectory
  let state: RunState
  let master: MasterKey

  /// A new run.
  ///
  /// - Parameter noiseMultiplier: σ of a private job; nil for the least that keeps to its ε.
  init(_ job: ResolvedJob, keys: CurveKeyPair, in root: URL, noiseMultiplier: Double? = nil) throws {
    self.keys = keys
    prepared = try PreparedJob(
      job: job, secret: OrderSecret(owner: keys, seed: job.train.seed), noiseMultiplier: noiseMultiplier)
    directory = RunDirectory(root: root)
    try directory.create()
    (state, master) = try RunSetup.create(
      directory, prepared: prepared, trainer: job.trainer, trainerKey: keys.publicKey.z85, keys: "/nowhere")
  }

  /// What a new process finds in a run directory.
  init(reopening root: URL, _ job: ResolvedJob, keys: CurveKeyPair, noiseMultiplier: Double? = nil) throws {
    self.keys = keys
    prepared = try PreparedJob(
      job: job, secret: OrderSecret(owner: keys, seed: job.train.seed), noiseMultiplier: noiseMultiplier)
    directory = RunDirectory(root: root)
    state = try RunState.load(directory)
    master = try state.masterKey(directory)
  }

  func reopened() throws -> OwnedRun {
    try OwnedRun(
      reopening: directory.root, prepared.job, keys: keys,
      noiseMultiplier: prepared.privacy == nil ? nil : StepLedger.noiseMultiplier(of: directory))
  }

  /// The same job under the same keys in another directory: what it must equal to the bit.
  func twin(in root: URL) throws -> OwnedRun {
    try FileManager.default.copyItem(at: directory.root, to: root)
    return try OwnedRun(
      reopening: root, prepared.job, keys: keys, noiseMultiplier: prepared.privacy?.noiseMultiplier)
  }

  @discardableResult
  func execute(
    over channel: any OwnerChannel, threads: Int = 1, patience: Duration = .seconds(60), detach: Bool = false,
    silence: Duration = .seconds(8), interruption: Interruption = Interruption(),
    observe: @escaping (RunEvent) -> Void = { _ in }
  ) throws -> RunReport? {
    try MaskedRun<Element>(
      prepared: prepared, directory: directory, state: state, masterKey: master, channel: channel,
      options: RunOptions(
        compute: Compute(threads: threads), patience: patience, detach: detach, silence: silence,
        software: "test owner"), interruption: interruption, observe: observe
    ).execute()
  }

  @discardableResult
  func execute(on network: InProcessNetwork, threads: Int = 1) throws -> RunReport? {
    try execute(over: network.connect(keys.ownerKey), threads: threads)
  }

  func connection(on network: InProcessNetwork) -> TrainerConnection<Element> {
    TrainerConnection(channel: network.connect(keys.ownerKey), job: state.job, software: "test owner")
  }

  /// The result as bytes of its file.
  func model() throws -> Data {
    try Data(contentsOf: directory.model.appending(path: "model.safetensors"))
  }

  /// The history without its times, which differ between runs.
  func history() throws -> [ProgressRecord] {
    try RunHistory(directory).records.map { record in
      switch record {
      case .step(let step, let loss, let learningRate, let gradientNorm, _):
        .step(step: step, loss: loss, learningRate: learningRate, gradientNorm: gradientNorm, seconds: 0)
      case .evaluation(let epoch, let step, let loss, let metrics, let kept, _):
        .evaluation(epoch: epoch, step: step, loss: loss, metrics: metrics, kept: kept, seconds: 0)
      }
    }
  }
}
