import Cryptography
import OwnerRole
import Models
import JobSpec
import Masking
import Numerics
import Training

/// Whole plaintext runs of a job's model on some of its rows, by the engine that masked runs use: for questions about the model that comes
/// out. For rows of features, all of which are kept in memory.
struct PlaintextTraining {
  /// A run's time was up before it was done.
  struct OutOfTime: Error {}

  private let prepared: PreparedJob
  private let compute: Compute
  private let keys: JobKeys<Float>
  /// As the model reads them, [n, d + 1 + k]: what is trained on, and what outputs are asked for.
  private let trained: Tensor<Float>
  private let asked: Tensor<Float>
  private let slots: [Int32]
  private let labels: JobLabels

  /// - Parameters:
  ///   - rows: of `slots`, `[n, d]`, as they are trained on.
  ///   - questions: the same rows as outputs are asked for, with or without the noise.
  init(
    _ prepared: PreparedJob, rows: Tensor<Float>, questions: Tensor<Float>, slots: [Int32], labels: JobLabels,
    compute: Compute
  ) throws {
    self.prepared = prepared
    self.compute = compute
    self.slots = slots
    self.labels = labels
    keys = JobKeys(master: MasterKey(), plan: try prepared.identityPlan(), compute: compute)
    trained = try keys.maskInputs(rows)
    asked = try keys.maskInputs(questions)
  }

  /// Trains on the rows with these places in `slots`, for as many epochs as the job, and returns the outputs of all rows.
  ///
  /// - Parameter secret: what starting weights and orders are drawn from.
  /// - Throws: `OwnerError.diverged`.
  func outputs(trainedOn places: [Int], secret: OrderSecret) throws -> Tensor<Float> {
    var last = Tensor<Float>(zeros: [0, 0])
    try train(on: places, secret: secret, until: nil) { epoch, outputs in
      if epoch == prepared.job.train.epochs - 1 { last = try outputs(slots.indices) }
    }
    return last
  }

  /// The same training, looked at after every epoch.
  ///
  /// - Parameters:
  ///   - end: no step begins after it; nil for no end.
  ///   - epochEnded: the epoch, from 0, and a way to ask for the outputs of some of the rows as the weights then are.
  /// - Throws: `OutOfTime` when it was not done by `end`; `OwnerError.diverged`; what `epochEnded` throws.
  func train(
    on places: [Int], secret: OrderSecret, until end: ContinuousClock.Instant?,
    epochEnded: (Int, (Range<Int>) throws -> Tensor<Float>) throws -> Void
  ) throws {
    let job = prepared.job
    let batch = min(prepared.plan.expectedBatch, places.count)
    let steps = (places.count + batch - 1) / batch
    let privacy = try prepared.privacy.map { try PrivateSteps($0, rows: places.count, batch: batch, secret: secret) }
    let weights = FreshWeights(prepared.shape.structure.parameters, secret: secret)
    let engine = try TrainingEngine<Float>(
      model: prepared.shape.graph, optimizer: job.optimizer, schedule: job.schedule,
      totalSteps: steps * job.train.epochs, batchRows: privacy?.sampling.capacity ?? batch,
      sampleClipping: privacy?.clipping, compute: compute,
      parameters: try prepared.shape.structure.parameters.map { try keys.maskParameter(weights.tensor($0), $0) })
    for epoch in 0..<job.train.epochs {
      let order = secret.stream(label: "order/\(epoch)").permutation(places.count).map { places[$0] }
      for start in stride(from: 0, to: order.count, by: batch) {
        if let end, ContinuousClock().now >= end { throw OutOfTime() }
        let drawn = try privacy?.sampling.batch(step: engine.step).map { order[Int($0)] }
        try step(engine, drawn ?? Array(order[start..<min(order.count, start + batch)]), privacy)
      }
      try epochEnded(epoch) { try outputs(of: $0, engine) }
    }
  }

  private func outputs(of rows: Range<Int>, _ engine: TrainingEngine<Float>) throws -> Tensor<Float> {
    let width = asked.columns
    return try engine.infer(rows: rows.count) { target in
      asked.withUnsafeBufferPointer {
        _ = target.update(fromContentsOf: $0[rows.lowerBound * width..<rows.upperBound * width])
      }
    }
  }

  var task: LearningTask { prepared.job.task }

  /// The targets of all rows.
  var targets: Targets<Float> { labels.targets(slots[...], rowOfSlot: prepared.plan.rowOfSlot) }

  private func step(_ engine: TrainingEngine<Float>, _ places: [Int], _ privacy: PrivateSteps?) throws {
    let targets: Targets<Float> = labels.targets(
      places.map { slots[$0] }[...], rowOfSlot: prepared.plan.rowOfSlot)
    try engine.beginBatch(rows: places.count)
    if places.isEmpty {
      _ = try engine.finishStep(correction: privacy?.noise)
      return
    }
    let outputs = try engine.forward(rows: 0..<places.count) { gather(places, into: $0) }
    guard outputs.allFinite else { throw OwnerError.diverged(step: engine.step) }
    let loss = LossFunction(task: prepared.job.task)
    let result =
      try privacy == nil
      ? loss.evaluate(outputs: outputs, targets: targets, normalizer: Double(max(1, targets.observedCount)))
      : loss.evaluateEachSample(outputs: outputs, targets: targets)
    try engine.setOutputGradient(result.gradient, rows: 0..<places.count)
    _ = try engine.finishStep(correction: privacy?.noise)
  }

  private func gather(_ places: [Int], into target: UnsafeMutableBufferPointer<Float>) {
    let width = trained.columns
    trained.withUnsafeBufferPointer { source in
      for (row, place) in places.enumerated() {
        _ = UnsafeMutableBufferPointer(rebasing: target[row * width..<(row + 1) * width])
          .update(fromContentsOf: source[place * width..<(place + 1) * width])
      }
    }
  }
}

/// Batches, clipping and noise of a private job, on other rows than its own and from other secrets.
private struct PrivateSteps {
  let sampling: PoissonSampling
  let clipping: SampleClipping
  let noise: GaussianNoise<Float>

  /// - Parameter secret: what batches and noise are drawn from.
  init(_ privacy: JobPrivacy, rows: Int, batch: Int, secret: OrderSecret) throws {
    let stream = secret.stream(label: "privacy")
    let bytes = (0..<8).map { _ in stream.nextWord() }
    func key(_ words: ArraySlice<UInt64>) -> SecretBuffer {
      Array(words).withUnsafeBytes { SecretBuffer(copying: $0) }
    }
    sampling = try PoissonSampling(secret: key(bytes[..<4]), context: "audit", rows: rows, expectedBatch: batch)
    clipping = try SampleClipping(clipNorm: privacy.clipping.clipNorm, expectedBatch: Double(batch))
    noise = GaussianNoise(
      NoiseSource(secret: key(bytes[4...]), context: "audit"),
      noiseMultiplier: privacy.noiseMultiplier, clipping: clipping, workers: Workers(threads: 1))
  }
}
