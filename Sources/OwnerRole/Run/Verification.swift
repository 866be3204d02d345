package import Models
package import Datasets
package import Families
import Foundation
import JobSpec
package import Masking
package import Numerics
package import Training
import Protocol

/// Trains the same steps twice in this process, masked and in plaintext, and compares the weights after unmasking.
///
/// Both runs use the same engine, samples and loss; only the keys differ (identity keys for plaintext), so the difference is what
/// masking costs in rounding, and any mistake in a key rule shows as a difference that no rounding explains. Of a private job batches, clipping and
/// noise are those of its steps: the noise that is added under masks is added to the plaintext too, unmasked.
package struct Verification<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let compute: Compute

  package init(prepared: PreparedJob, compute: Compute) {
    self.prepared = prepared
    self.compute = compute
  }

  /// - Returns: the largest of ‖masked − plain‖∞ / ‖plain‖∞ over all trained parameters.
  /// - Throws: as reading and masking do; `OwnerError.diverged`.
  package func largestRelativeDifference(steps: Int, progress: (Int, Int) -> Void) throws -> Double {
    let plan = prepared.plan
    let total = min(steps, plan.totalSteps)
    let source = try VerificationSource<Element>(prepared, compute: compute)
    let masked = try VerifiedRun(prepared, plan: prepared.shape.keyPlan, source: source, compute: compute)
    let plain = try VerifiedRun(prepared, plan: try prepared.identityPlan(), source: source, compute: compute)
    let noise = VerifiedNoise<Element>(prepared, workers: compute.workers)
    var batches = PlannedBatches(plan)
    for step in 0..<total {
      let epoch = step / plan.stepsPerEpoch
      let slots = try batches.slots(ofStep: step)
      try plain.step(slots, epoch: epoch, correction: noise?.carried(step, from: masked.keys, to: plain.keys))
      try masked.step(slots, epoch: epoch, correction: noise?.masked)
      progress(step + 1, total)
    }
    return try zip(masked.plaintextWeights(), plain.plaintextWeights()).map { Self.relativeDifference($0, $1) }.max()
      ?? 0
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

/// One of the two runs of a verification: an engine and its keys.
package final class VerifiedRun<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let source: VerificationSource<Element>
  package let keys: JobKeys<Element>
  package let master: MasterKey
  private let engine: TrainingEngine<Element>
  private let loss: LossFunction
  private let precision: TrainingPrecision

  /// - Parameters:
  ///   - master: what keys and the order of tokens are drawn from.
  ///   - precision: that the engine computes in, and values travel in.
  package init(
    _ prepared: PreparedJob, plan: KeyPlan, source: VerificationSource<Element>,
    master: MasterKey = MasterKey(), precision: TrainingPrecision = .float32, compute: Compute
  ) throws {
    self.prepared = prepared
    self.precision = precision
    self.source = source
    self.master = master
    keys = JobKeys(master: master, plan: plan, compute: compute)
    loss = LossFunction(task: prepared.job.task)
    let specifications = prepared.shape.structure.parameters
    let initial = prepared.shape.startingWeights(secret: prepared.secret)
    let keys = keys
    engine = try TrainingEngine(
      model: prepared.shape.graph, optimizer: prepared.job.optimizer, schedule: prepared.job.schedule,
      totalSteps: prepared.plan.totalSteps, batchRows: prepared.plan.batch,
      partRows: prepared.job.train.microBatch, sampleClipping: prepared.privacy?.clipping,
      compute: compute.computing(in: precision),
      parameters: try specifications.map { try keys.maskParameter(initial.tensor($0), $0) })
  }

  /// A micro-batch as it goes over the wire.
  package struct Exchange {
    package let inputs: Tensor<Element>
    package let outputs: Tensor<Element>
    package let outputGradient: Tensor<Element>
    /// Not masked.
    package let targets: Targets<Element>
  }

  /// Trains on the samples in `slots`, micro-batch by micro-batch.
  ///
  /// - Parameter correction: what is added to the step's gradients, as this run's engine has them.
  package func step(
    _ slots: ArraySlice<Int32>, epoch: Int, correction: (any GradientCorrection<Element>)? = nil,
    observe: (Exchange) throws -> Void = { _ in }
  ) throws {
    let normalizer = Double(max(1, try source.observedCount(of: slots)))
    try engine.beginBatch(rows: slots.count)
    var done = 0
    while done < slots.count {
      let rows = done..<min(slots.count, done + prepared.job.train.microBatch)
      let part = slots[slots.startIndex + rows.lowerBound..<slots.startIndex + rows.upperBound]
      let batch = try source.batch(part, epoch: epoch, keys: keys, master: master)
      let inputs = travelled(batch.values)
      let masked = travelled(
        try engine.forward(rows: rows, sequences: batch.sequences) { destination in
          inputs.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
        })
      guard masked.allFinite else { throw OwnerError.diverged(step: engine.step) }
      let outputs = try keys.unmaskOutputs(masked)
      let result =
        try prepared.privacy == nil
        ? loss.evaluate(outputs: outputs, targets: batch.targets, normalizer: normalizer)
        : loss.evaluateEachSample(
          outputs: outputs, targets: batch.targets,
          sequences: prepared.job.task.isPerToken ? batch.sequences : nil)
      let gradient = travelled(try keys.maskOutputGradient(result.gradient))
      try engine.setOutputGradient(gradient, rows: rows)
      try observe(
        Exchange(
          inputs: inputs, outputs: masked, outputGradient: gradient, targets: batch.targets))
      done = rows.upperBound
    }
    _ = try engine.finishStep(correction: correction)
  }

  /// As they are on the other side of the wire.
  private func travelled(_ values: Tensor<Element>) -> Tensor<Element> {
    precision.narrowsValues ? Tensor(widening: values.narrowed) : values
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

/// Samples for a verification, masked with whatever keys are given. Their noise, where the job has any, is the same for all keys.
package struct VerificationSource<Element: FloatingElement> {
  struct Batch {
    let values: Tensor<Element>
    let sequences: SequenceLayout?
    let targets: Targets<Element>
  }

  struct Tokens {
    let spool: TokenSpool
    let embedding: TokenEmbedding<Element>
    let settings: TokenSettings
  }

  let prepared: PreparedJob
  let compute: Compute
  private let standardization: Standardization?
  private var noise: InputNoise?
  let tokens: Tokens?

  /// What turns token ids into vectors; nil where a sample is a row of features.
  package var embedding: TokenEmbedding<Element>? { tokens?.embedding }

  /// Reads tokens once into scratch space; rows of features are read as they are asked for.
  ///
  /// - Parameter master: what the job's noise on inputs is drawn from, where it has any.
  package init(_ prepared: PreparedJob, master: MasterKey = MasterKey(), compute: Compute) throws {
    self.prepared = prepared
    self.compute = compute
    noise = InputNoise(prepared.job.masking, master: master, for: .training)
    var standardization: Standardization?
    switch prepared.source {
    case .features(let source):
      if prepared.job.data.standardize {
        standardization = try .fit(source, rows: prepared.split.training)
      }
      tokens = nil
    case .tokens(let inputs):
      let spool = try TokenSpool(prepared, tokens: inputs, scratch: FileManager.default.temporaryDirectory) { _, _ in }
      tokens = Tokens(spool: spool, embedding: try inputs.model.embedding(), settings: inputs.settings)
    }
    self.standardization = standardization
  }

  /// The same samples without the job's noise.
  package var withoutNoise: VerificationSource {
    var clean = self
    clean.noise = nil
    return clean
  }

  func observedCount(of slots: ArraySlice<Int32>) throws -> Int {
    if let labels = prepared.labels {
      let targets: Targets<Element> = labels.targets(slots, rowOfSlot: prepared.plan.rowOfSlot)
      return targets.observedCount
    }
    return try tokens.map { try $0.spool.countedTokens(of: slots, $0.settings) } ?? 0
  }

  func batch(
    _ slots: ArraySlice<Int32>, epoch: Int, keys: JobKeys<Element>, master: MasterKey
  ) throws -> Batch {
    guard let tokens else {
      guard case .features(let source) = prepared.source, let labels = prepared.labels else {
        throw OwnerError.unfitJob("the job has neither features nor tokens")
      }
      return Batch(
        values: try keys.maskInputs(noisedRows(slots, source)), sequences: nil,
        targets: labels.targets(slots, rowOfSlot: prepared.plan.rowOfSlot))
    }
    let samples = samples(tokens, keys: keys, master: master)
    let delivery = try samples.delivery(of: slots, pass: epoch)
    return Batch(
      values: delivery.values,
      sequences: SequenceLayout(lengths: delivery.lengths.elements, pooled: delivery.pooled.elements),
      targets: try samples.targets(of: slots, pass: epoch))
  }

  func samples(
    _ tokens: Tokens, keys: JobKeys<Element>, master: MasterKey
  ) -> TokenSamples<Element> {
    TokenSamples(
      spool: tokens.spool,
      packer: TokenPacker(
        embedding: tokens.embedding, keys: keys, master: master, noise: noise, settings: tokens.settings,
        compute: compute),
      labels: prepared.labels, rowOfSlot: prepared.plan.rowOfSlot)
  }

  /// Rows of features as they are masked.
  package func noisedRows(_ slots: ArraySlice<Int32>, _ source: any FeatureSource) throws -> Tensor<Element> {
    var rows = try readRows(slots, source)
    try noise?.add(to: &rows, numbers: Array(slots), workers: compute.workers)
    return rows
  }

  /// Rows of features before noise and masking.
  package func readRows(_ slots: ArraySlice<Int32>, _ source: any FeatureSource) throws -> Tensor<Element> {
    let source = try source.standardized(by: standardization)
    let columns = source.columns
    var values = Tensor<Float>(uninitialized: [slots.count, columns])
    try values.withUnsafeMutableBufferPointer { buffer in
      for (position, slot) in slots.enumerated() {
        let row = Int(prepared.plan.rowOfSlot[Int(slot)])
        try source.read(
          rows: row..<(row + 1),
          into: UnsafeMutableBufferPointer(rebasing: buffer[(position * columns)..<((position + 1) * columns)]))
      }
    }
    return values.converted()
  }
}

/// Unmasked samples, row by row in the order they are sent in.
package struct PlaintextSamples {
  package let rows: Tensor<Float>
  /// Tokens of each sample, and of each row its token and the place it had; nil where a sample is one row.
  package let lengths: [Int32]?
  package let ids: [Int32]?
  package let positions: [Int32]?
}

extension VerificationSource<Float> {
  /// - Parameter master: what the order of the tokens is drawn from.
  package func plaintext(of slots: some Collection<Int32>, master: MasterKey) throws -> PlaintextSamples {
    guard let tokens else {
      guard case .features(let source) = prepared.source else { throw OwnerError.unfitJob("the job has no features") }
      return PlaintextSamples(
        rows: try readRows(Array(slots)[...], source), lengths: nil, ids: nil, positions: nil)
    }
    let keys = JobKeys<Float>(master: master, plan: prepared.shape.keyPlan, compute: compute)
    let orders = samples(tokens, keys: keys, master: master).packer.orders(pass: 0)
    var sent: [Token] = []
    var lengths: [Int32] = []
    for (slot, sample) in zip(slots, try tokens.spool.samples(slots)) {
      for place in orders(sample.count, slot) { sent.append(sample[place]) }
      lengths.append(Int32(sample.count))
    }
    return PlaintextSamples(
      rows: tokens.embedding.vectors(sent, workers: compute.workers), lengths: lengths, ids: sent.map(\.id),
      positions: sent.map(\.position))
  }

  /// The tokens of samples in the order of the file.
  package func texts(of slots: some Collection<Int32>) throws -> [[Int32]]? {
    try tokens?.spool.samples(slots).map { $0.map(\.id) }
  }
}
