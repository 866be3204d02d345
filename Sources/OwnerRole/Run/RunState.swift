package import Foundations
import Files
import Datasets
import Foundation
import JobSpec
package import Masking
package import Models
package import Protocol

/// What a later command needs to continue a run; no secret in it.
package struct RunState: Sendable, Equatable, Codable {
  package enum Phase: String, Sendable, Codable {
    /// The job exists on this side; the trainer may not know it yet.
    case prepared
    /// The trainer has everything it needs and works without the owner.
    case detached
    case training
    /// The result is here as the trainer had it, masked; the trainer holds nothing any more, and the run's key opens it.
    case masked
    /// `model/` is complete.
    case finished
    case cancelled
  }

  package var job: JobID
  package var phase: Phase
  /// ZeroMQ endpoint and public key (z85) of the trainer.
  package var trainer: String
  package var trainerKey: String
  /// Directory with owner.key.
  package var keys: String
  package var data: DataShape
  /// The owner's public key (z85). Batch orders and starting weights are drawn from its secret half, so that a run continues only with it.
  package var owner: String?
  /// How the keys were expanded; nil of a run made before this was kept.
  package var keyExpansion: KeyExpansionRecord?

  package init(
    job: JobID, phase: Phase, trainer: String, trainerKey: String, keys: String, data: DataShape,
    owner: String? = nil, keyExpansion: KeyExpansionRecord? = nil
  ) {
    self.job = job
    self.phase = phase
    self.trainer = trainer
    self.trainerKey = trainerKey
    self.keys = keys
    self.data = data
    self.owner = owner
    self.keyExpansion = keyExpansion
  }

  /// - Throws: `OwnerError.run` when there is no run, or its state cannot be read.
  package static func load(_ directory: RunDirectory) throws -> RunState {
    guard let state = try RunFile.read(RunState.self, from: directory.runState) else {
      guard !directory.isOfSite else {
        throw OwnerError.run(
          "\(directory.root.path) holds a site's run, and this command is for jobs; the federation's model is in \(directory.model.path), "
            + "and its README.md says how to load it")
      }
      throw OwnerError.run("\(directory.root.path) holds no run")
    }
    return state
  }

  package func save(_ directory: RunDirectory) throws {
    try RunFile.write(self, to: directory.runState)
  }
}

extension RunState {
  /// The state of a run that is to be continued, and its master key. The trainer may have moved; everything else must be as it was.
  ///
  /// - Parameter trainerKey: z85.
  /// - Throws: `OwnerError.run` when there is no run or the job differs; as `check`; `MaskingError` for a key that cannot be read;
  ///   `FileError` when the directory cannot be closed to other users.
  package static func resume(
    _ directory: RunDirectory, prepared: PreparedJob, trainerKey: String
  ) throws -> (RunState, MasterKey) {
    var state = try load(directory)
    try directory.makePrivate()
    let earlier = try ResolvedJob.load(
      path: directory.resolvedJob.path, overrides: ["trainer=\(prepared.job.trainer)"], checkFiles: false)
    guard earlier == prepared.job else {
      throw OwnerError.run(
        "the job differs from \(directory.resolvedJob.path); resume with the same job, or choose another --out")
    }
    try state.check(prepared, directory)
    let master = try state.masterKey(directory)
    if (state.trainer, state.trainerKey) != (prepared.job.trainer, trainerKey), state.phase != .finished {
      state.trainer = prepared.job.trainer
      state.trainerKey = trainerKey
      try state.save(directory)
    }
    return (state, master)
  }

  /// The key that the run's keys are expanded from.
  package func masterKey(_ directory: RunDirectory) throws -> MasterKey {
    try MasterKeyFile(path: directory.jobKey.path).read(job: job)
  }

  /// Whether a job prepared now is the one the run was made for.
  ///
  /// - Throws: `OwnerError.otherKey` for another owner's key, `.unfitData` when the file has changed.
  package func check(_ prepared: PreparedJob, _ directory: RunDirectory) throws {
    if let owner, owner != prepared.secret.ownerKey {
      throw OwnerError.otherKey("the run was made with the owner key \(owner); give the --keys directory that holds it")
    }
    guard data.checkpoint == prepared.shape.data.checkpoint else {
      throw OwnerError.unfitData(
        "the checkpoint that model.huggingface names holds other weights than when the run began; put the old one back")
    }
    var found = prepared.shape.data
    // A run of an earlier version kept none.
    if data.paddingToken == nil { found.paddingToken = nil }
    if data.drawsPooler == nil, found.drawsPooler == true {
      throw OwnerError.run(
        "the run was begun by a version that trained without the pooler that the checkpoint lacks; resume it with that version, or begin anew"
      )
    }
    guard data == found else {
      throw OwnerError.unfitData(
        "\(prepared.job.data.file) has changed since the run began; put the old file back")
    }
    // The features themselves are compared when they are read.
    try DataDigest.read(directory)?.check(DataDigest(prepared, features: nil), file: prepared.job.data.file)
  }
}

/// The summary of a finished run: written to `summary.json` and shown as a table.
package struct RunReport: Sendable, Codable {
  package struct Seconds: Sendable, Codable {
    package var total: Double
    package var reading: Double
    package var masking: Double
    package var waitingForTrainer: Double
    package var loss: Double
  }

  package var job: JobID
  package var evaluations: [ProgressRecord]
  /// The epoch whose weights `model/` holds, counted from 0.
  package var keptEpoch: Int?
  package var steps: Int
  package var trainingRows: Int
  package var epochs: Int
  /// Distinct rows the trainer saw under this key, training and validation.
  package var rowsSeen: Int
  package var seconds: Seconds
  package var bytesSent: Int
  package var bytesReceived: Int
  /// Bytes of all messages sent, over what the same messages would take with float32 numbers throughout, plain rows of d columns and unpadded
  /// weights: rows, weights, gradients, labels, slot numbers and headers, on both sides of the ratio. What CURVE and TCP add to
  /// each frame is on neither.
  package var expansion: Double
  package var ownerCPUSeconds: Double
  package var trainerCPUSeconds: Double
  /// In which numbers the trainer computed; nil in a summary from before it was stated, which is of float32.
  package var precision: TrainingPrecision?
  /// What it multiplied with, from which step on; nil where it did not say.
  package var kernels: [KernelUse]?
  /// Nil for a job without privacy.
  package var privacy: JobPrivacyReport?
}
