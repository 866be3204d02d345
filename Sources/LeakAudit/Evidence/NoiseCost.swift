import OwnerRole
import Models
import JobSpec
import Numerics
import Training

/// A job's metric with and without the noise on its inputs, each from whole plaintext runs.
package struct NoiseCost: Sendable, Equatable, Codable {
  /// "accuracy", "roc_auc", "rmse".
  package var metric: String
  package var sigma: Double
  package var withNoise: Double
  package var withoutNoise: Double

  package init(metric: String, sigma: Double, withNoise: Double, withoutNoise: Double) {
    self.metric = metric
    self.sigma = sigma
    self.withNoise = withNoise
    self.withoutNoise = withoutNoise
  }
}

/// What a job's noise costs: the metric of the whole job in plaintext with the noise and without, both from the same starting weights and
/// orders, and each of the epoch whose weights the job would return.
struct NoiseComparison {
  /// Bytes of rows in memory, of which there are four copies, and operations of a run, at most.
  private static let maxBytes = 1 << 28
  private static let maxWork = 2e12

  private let prepared: PreparedJob
  private let source: VerificationSource<Float>
  private let compute: Compute

  init(_ prepared: PreparedJob, source: VerificationSource<Float>, compute: Compute) {
    self.prepared = prepared
    self.source = source
    self.compute = compute
  }

  /// The cost, or why it was not measured; neither for a job without noise.
  ///
  /// - Parameter end: when to stop, with what is done until then; nil for no limit.
  /// - Throws: `DatasetError`; no error of a run that diverges, which has no cost to tell.
  func cost(until end: ContinuousClock.Instant?) throws -> (cost: NoiseCost?, missing: String?) {
    guard let sigma = prepared.job.masking.noise else { return (nil, nil) }
    guard case .features(let features) = prepared.source, let labels = prepared.labels else {
      return (nil, "not measured for token jobs; train the job with and without it")
    }
    let plan = prepared.plan
    guard plan.validationRows > 0 else { return (nil, "not measured: the job has no validation rows") }
    let weights = prepared.shape.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let work = 6 * Double(weights) * Double(plan.trainingRows) * Double(plan.epochs)
    guard plan.totalRows * prepared.shape.inputWidth * 4 < Self.maxBytes, work < Self.maxWork else {
      return (nil, "not measured: the job is too large to be trained twice by an audit")
    }
    let slots = (0..<Int32(plan.totalRows)).map { $0 }
    func metric(_ rows: Tensor<Float>) throws -> Metric? {
      let training = try PlaintextTraining(
        prepared, rows: rows, questions: rows, slots: slots, labels: labels, compute: compute)
      return try self.metric(training, until: end)
    }
    do {
      let noised = try metric(try source.noisedRows(slots[...], features))
      let clean = try metric(try source.readRows(slots[...], features))
      guard let noised, let clean, let withNoise = noised.value, let withoutNoise = clean.value else {
        return (nil, "not measured: the metric has no value on the validation rows")
      }
      return (NoiseCost(metric: clean.name, sigma: sigma, withNoise: withNoise, withoutNoise: withoutNoise), nil)
    } catch is PlaintextTraining.OutOfTime {
      return (nil, "not measured: no time was left; give the audit more --minutes")
    } catch OwnerError.diverged(let step) {
      // In steps that the observed run did not make: its evidence, and the attacks on it, stand all the same.
      return (nil, "not measured: \(OwnerError.diverged(step: step).description)")
    } catch let error as TrainingError where error == .nonFiniteLoss || error == .nonFiniteGradient {
      return (nil, "not measured: \(error.description)")
    }
  }

  /// On the validation rows, of the epoch that `train.keep` keeps; nil where it keeps none, its metric having no value in any.
  private func metric(_ training: PlaintextTraining, until end: ContinuousClock.Instant?) throws -> Metric? {
    let (plan, job) = (prepared.plan, prepared.job)
    let validation = plan.validationSlots
    let targets = training.targets[validation]
    var kept: Metric?
    try training.train(on: Array(0..<plan.trainingRows), secret: prepared.secret, until: end) { epoch, outputs in
      guard job.train.keep == .best || epoch == job.train.epochs - 1 else { return }
      let found = try outputs(validation)
      guard found.allFinite else { throw OwnerError.diverged(step: (epoch + 1) * plan.stepsPerEpoch) }
      var accumulator = MetricAccumulator(task: job.task)
      try accumulator.add(outputs: found, targets: targets)
      let metric = accumulator.result().primary
      guard let value = metric.value, value.isFinite else { return }
      if let best = kept, job.train.keep == .best, !metric.isBetter(than: best) { return }
      kept = metric
    }
    return kept
  }
}
