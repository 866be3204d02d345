import JobSpec
import Architecture
package import Masking
package import Tensors
package import Training

/// One of the two runs of a verification: an engine and its keys.
package final class VerifiedRun<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let source: VerificationSource<Element>
  package let keys: JobKeys<Element>
  package let master: MasterKey
  private let engine: TrainingEngine<Element>
  private let loss: LossFunction

  /// - Parameter master: what keys and the order of tokens are drawn from.
  package init(
    _ prepared: PreparedJob, plan: KeyPlan, source: VerificationSource<Element>,
    master: MasterKey = MasterKey(for: JobIdentifier()), workers: Workers
  ) throws {
    self.prepared = prepared
    self.source = source
    self.master = master
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

  /// What a micro-batch was to the trainer, as it went over the wire.
  package struct Exchange {
    package let inputs: Tensor<Element>
    package let outputs: Tensor<Element>
    package let outputGradient: Tensor<Element>
    /// Not masked.
    package let targets: Targets<Element>
  }

  /// Trains on the samples in `slots`, micro-batch by micro-batch.
  package func step(_ slots: ArraySlice<Int32>, epoch: Int, observe: (Exchange) throws -> Void = { _ in }) throws {
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
      let gradient = try keys.maskOutputGradient(result.gradient)
      try engine.setOutputGradient(gradient, rows: rows)
      try observe(
        Exchange(
          inputs: batch.values, outputs: masked, outputGradient: gradient, targets: batch.targets))
      done = rows.upperBound
    }
    _ = try engine.finishStep()
  }

  /// All parameters as the trainer holds them.
  package var maskedWeights: [Tensor<Element>] { engine.parameters }

  /// The trained parameters, unmasked.
  func plaintextWeights() throws -> [Tensor<Element>] {
    try zip(prepared.shape.structure.parameters, engine.parameters)
      .filter { $0.0.isTrained }
      .map { try keys.unmaskParameter($0.1, $0.0) }
  }
}
