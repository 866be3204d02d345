import Architecture
import JobSpec
import Datasets
import Masking
package import Tensors
import Training

/// Trains the same steps twice in this process, masked and in plaintext, and compares the weights after unmasking.
///
/// Both runs use the same engine, rows and loss; only the keys differ, so the difference is what masking costs in rounding, and any
/// mistake in a key rule shows as a difference that no rounding explains.
package struct Verification<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let workers: Workers

  package init(prepared: PreparedJob, workers: Workers) {
    self.prepared = prepared
    self.workers = workers
  }

  /// - Returns: the largest of ‖masked − plain‖∞ / ‖plain‖∞ over all parameters.
  /// - Throws: as reading and masking do; `OwnerError.diverged`.
  package func largestRelativeDifference(steps: Int, progress: (Int, Int) -> Void) throws -> Double {
    let shape = prepared.shape
    let specifications = shape.structure.parameters
    let keys = JobKeys<Element>(
      master: MasterKey(for: JobIdentifier()), plan: shape.keyPlan, workers: workers)
    let initial: [Tensor<Element>] = InitialWeights.draw(specifications, secret: prepared.secret)
    let plain = try engine(initial)
    let masked = try engine(try keys.maskParameters(initial, specifications))
    let plan = prepared.plan
    let total = min(steps, plan.totalSteps)
    var standardization: Standardization?
    if prepared.job.data.standardize {
      var isTraining = [Bool](repeating: false, count: prepared.source.rows)
      for row in prepared.split.training { isTraining[row] = true }
      standardization = try .fit(prepared.source, isTraining: isTraining)
    }
    var order: [Int32] = []
    for step in 0..<total {
      if step % plan.stepsPerEpoch == 0 { order = plan.order(epoch: step / plan.stepsPerEpoch) }
      let slots = Array(order[plan.range(ofBatch: step % plan.stepsPerEpoch)])
      let rows = try readRows(slots, standardization: standardization)
      try train(plain, rows: Self.homogeneous(rows, width: shape.inputWidth), slots: slots, keys: nil)
      try train(masked, rows: try keys.maskInputs(rows), slots: slots, keys: keys)
      progress(step + 1, total)
    }
    let unmasked = try keys.unmaskParameters(masked.parameters, specifications)
    return zip(unmasked, plain.parameters).map { Self.relativeDifference($0, $1) }.max() ?? 0
  }

  private func engine(_ parameters: [Tensor<Element>]) throws -> TrainingEngine<Element> {
    try TrainingEngine(
      model: prepared.shape.model, optimizer: prepared.job.optimizer, schedule: prepared.job.schedule,
      totalSteps: prepared.plan.totalSteps, batchRows: prepared.job.train.batch, workers: workers,
      parameters: parameters)
  }

  private func train(
    _ engine: TrainingEngine<Element>, rows: Tensor<Element>, slots: [Int32], keys: JobKeys<Element>?
  ) throws {
    let loss = LossFunction(task: prepared.job.task)
    let targets: Targets<Element> = prepared.labels.targets(slots[...], rowOfSlot: prepared.plan.rowOfSlot)
    try engine.beginBatch(rows: slots.count)
    let masked = try engine.forward(rows: 0..<slots.count) { destination in
      rows.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
    }
    guard masked.allFinite else { throw OwnerError.diverged(step: engine.step) }
    let outputs = try keys?.unmaskOutputs(masked) ?? masked
    let result = try loss.evaluate(
      outputs: outputs, targets: targets, normalizer: Double(max(1, targets.observedCount)))
    try engine.setOutputGradient(
      try keys?.maskOutputGradient(result.gradient) ?? result.gradient, rows: 0..<slots.count)
    _ = try engine.finishStep()
  }

  private func readRows(_ slots: [Int32], standardization: Standardization?) throws -> Tensor<Element> {
    let columns = prepared.source.columns
    var values = Tensor<Float>(uninitialized: [slots.count, columns])
    try values.withUnsafeMutableBufferPointer { buffer in
      for (position, slot) in slots.enumerated() {
        let row = Int(prepared.plan.rowOfSlot[Int(slot)])
        try prepared.source.read(
          rows: row..<(row + 1),
          into: UnsafeMutableBufferPointer(rebasing: buffer[(position * columns)..<((position + 1) * columns)]))
      }
      standardization?.apply(to: buffer)
    }
    return values.converted()
  }

  /// [x; 1; 0_k] without a key.
  private static func homogeneous(_ rows: Tensor<Element>, width: Int) -> Tensor<Element> {
    var result = Tensor<Element>(zeros: [rows.rows, width])
    for row in 0..<rows.rows {
      for column in 0..<rows.columns { result[row, column] = rows[row, column] }
      result[row, rows.columns] = 1
    }
    return result
  }

  private static func relativeDifference(_ a: Tensor<Element>, _ b: Tensor<Element>) -> Double {
    var difference = 0.0
    var largest = 0.0
    for index in 0..<b.count {
      difference = max(difference, abs(Double(a[index]) - Double(b[index])))
      largest = max(largest, abs(Double(b[index])))
    }
    return difference / max(largest, .leastNormalMagnitude)
  }
}
