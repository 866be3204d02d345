import JobSpec
import Architecture
import Masking
import Tensors
import Training

/// One of the two runs of a verification: an engine and its keys.
final class VerifiedRun<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let source: VerificationSource<Element>
  private let keys: JobKeys<Element>
  private let master = MasterKey(for: JobIdentifier())
  private let engine: TrainingEngine<Element>
  private let loss: LossFunction

  init(_ prepared: PreparedJob, plan: KeyPlan, source: VerificationSource<Element>, workers: Workers) throws {
    self.prepared = prepared
    self.source = source
    keys = JobKeys(master: master, plan: plan, workers: workers)
    loss = LossFunction(task: prepared.job.task)
    let specifications = prepared.shape.structure.parameters
    let initial = prepared.shape.startingWeights(secret: prepared.secret)
    let keys = keys
    engine = try TrainingEngine(
      model: prepared.shape.model, optimizer: prepared.job.optimizer, schedule: prepared.job.schedule,
      totalSteps: prepared.plan.totalSteps, batchRows: prepared.plan.batch,
      partRows: prepared.job.train.microBatch, workers: workers,
      parameters: try specifications.map { try keys.maskParameter(initial.tensor($0), $0) })
  }

  /// Trains on the samples in `slots`, micro-batch by micro-batch.
  func step(_ slots: ArraySlice<Int32>, epoch: Int) throws {
    let normalizer = Double(max(1, try source.observedCount(of: slots)))
    try engine.beginBatch(rows: slots.count)
    var done = 0
    while done < slots.count {
      let rows = done..<min(slots.count, done + prepared.job.train.microBatch)
      let part = slots[slots.startIndex + rows.lowerBound..<slots.startIndex + rows.upperBound]
      let batch = try source.batch(part, epoch: epoch, keys: keys, master: master)
      let masked = try engine.forward(rows: rows, sequences: batch.sequences) { destination in
        batch.values.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
      }
      guard masked.allFinite else { throw OwnerError.diverged(step: engine.step) }
      let result = try loss.evaluate(
        outputs: try keys.unmaskOutputs(masked), targets: batch.targets, normalizer: normalizer)
      try engine.setOutputGradient(try keys.maskOutputGradient(result.gradient), rows: rows)
      done = rows.upperBound
    }
    _ = try engine.finishStep()
  }

  /// The trained parameters, unmasked.
  func plaintextWeights() throws -> [Tensor<Element>] {
    try zip(prepared.shape.structure.parameters, engine.parameters)
      .filter { $0.0.isTrained }
      .map { try keys.unmaskParameter($0.1, $0.0) }
  }
}
