import Architecture
import JobSpec
import Checkpoints
import Datasets
import Foundation
package import Masking
import Tensors
import Wire

/// Fills a new run directory.
package enum RunSetup {
  /// Writes the resolved job, the data's names, the job's new master key and the state; `writePlan` adds the rest.
  ///
  /// - Parameter directory: created, and nobody else's.
  /// - Returns: the state and the key.
  /// - Throws: `OwnerError.run` when the directory is taken; `CheckpointError` of kind `.exhausted` when the disk is full.
  package static func create(
    _ directory: RunDirectory, prepared: PreparedJob, trainer: String, trainerKey: String, keys: String
  ) throws -> (RunState, MasterKey) {
    guard !directory.exists else {
      throw OwnerError.run("\(directory.root.path) already holds a run; choose another --out")
    }
    try AtomicFile.write(Data(prepared.job.yaml().utf8), to: directory.resolvedJob.path)
    try prepared.names.write(to: directory.names)
    let identifier = JobIdentifier()
    guard let job = JobID(hex: identifier.description) else { throw OwnerError.run("no job id could be made") }
    let master = MasterKey(for: identifier)
    try MasterKeyFile(path: directory.jobKey.path).write(master)
    let state = RunState(
      job: job, phase: .prepared, trainer: trainer, trainerKey: trainerKey, keys: keys,
      data: prepared.shape.data, owner: prepared.secret.ownerKey)
    try state.save(directory)
    return (state, master)
  }

  /// Writes `plan.h5` and `initial.safetensors` where they are missing: what an outside replay needs.
  ///
  /// - Throws: `DatasetError` or `CheckpointError` of kind `.exhausted` when the disk is full.
  static func writePlan(_ prepared: PreparedJob, to directory: RunDirectory) throws {
    let manager = FileManager.default
    if !manager.fileExists(atPath: directory.plan.path) { try writeBatches(prepared, to: directory.plan.path) }
    guard !manager.fileExists(atPath: directory.initialWeights.path) else { return }
    try ModelDirectory.writeWeights(
      prepared.shape.startingWeights(secret: prepared.secret), shape: prepared.shape, to: directory.initialWeights)
  }

  private static func writeBatches(_ prepared: PreparedJob, to path: String) throws {
    let plan = prepared.plan
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.write(prepared.split.training.map { Int64($0) }, to: "split/train")
    try writer.write(prepared.split.validation.map { Int64($0) }, to: "split/validation")
    try writer.createMatrix("batches", columns: plan.batch, of: Int64.self)
    for epoch in 0..<plan.epochs {
      let order = plan.order(epoch: epoch)
      // One call an epoch: each costs more than many rows do.
      var rows = [Int64](repeating: -1, count: plan.stepsPerEpoch * plan.batch)
      for step in 0..<plan.stepsPerEpoch {
        for (column, position) in plan.range(ofBatch: step).enumerated() {
          rows[step * plan.batch + column] = Int64(plan.rowOfSlot[Int(order[position])])
        }
      }
      try writer.append(rows, to: "batches")
    }
    try writer.commit()
  }
}
