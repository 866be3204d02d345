import JobSpec
import Masking
import Models
package import Numerics
import Training

/// Measures how far a masked run and its plaintext twin come away from plaintext float64 in numbers that round coarsely.
///
/// It judges nothing: of one run each, roundings alone put them apart by factors that depend on the key, the more where plaintext rows are exact
/// in these numbers and masked ones are not. That no key rule is wrong, `Verification` shows in float64.
package struct PrecisionVerification {
  /// Relative distances ‖w − w₆₄‖₂ / ‖w₆₄‖₂ of all trained weights together.
  package struct Distances: Sendable, Equatable {
    package let masked: Double
    package let plain: Double
    /// That training has made: of the starting weights.
    package let trained: Double
  }

  private let prepared: PreparedJob
  private let compute: Compute

  package init(prepared: PreparedJob, compute: Compute) {
    self.prepared = prepared
    self.compute = compute
  }

  /// - Throws: as reading and masking do; `OwnerError.diverged`.
  package func distances(steps: Int, progress: (Int, Int) -> Void) throws -> Distances {
    let precision = prepared.job.train.precision
    let plan = prepared.plan
    let total = min(steps, plan.totalSteps)
    let noiseOfInputs = MasterKey()
    let source = try VerificationSource<Float>(prepared, master: noiseOfInputs, compute: compute)
    let exactSource = try VerificationSource<Double>(prepared, master: noiseOfInputs, compute: compute)
    let masked = try VerifiedRun(
      prepared, plan: prepared.shape.keyPlan, source: source, precision: precision, compute: compute)
    let plain = try VerifiedRun(
      prepared, plan: try prepared.identityPlan(), source: source, precision: precision, compute: compute)
    let exact = try VerifiedRun(prepared, plan: try prepared.identityPlan(), source: exactSource, compute: compute)
    let start = try exact.plaintextWeights()
    let noise = VerifiedNoise<Float>(prepared, workers: compute.workers)
    // Drawn in the coordinates of the masks, for all three.
    let exactNoise = VerifiedNoise<Double>(prepared, workers: compute.workers)
    let exactKeys = JobKeys<Double>(master: masked.master, plan: prepared.shape.keyPlan, compute: compute)
    var batches = PlannedBatches(plan)
    for step in 0..<total {
      let epoch = step / plan.stepsPerEpoch
      let slots = try batches.slots(ofStep: step)
      try plain.step(slots, epoch: epoch, correction: noise?.carried(step, from: masked.keys, to: plain.keys))
      try masked.step(slots, epoch: epoch, correction: noise?.masked)
      try exact.step(slots, epoch: epoch, correction: exactNoise?.carried(step, from: exactKeys, to: exact.keys))
      progress(step + 1, total)
    }
    let target = try exact.plaintextWeights()
    return Distances(
      masked: Self.distance(try masked.plaintextWeights().map { $0.converted() }, target),
      plain: Self.distance(try plain.plaintextWeights().map { $0.converted() }, target),
      trained: Self.distance(start, target))
  }

  private static func distance(_ weights: [Tensor<Double>], _ target: [Tensor<Double>]) -> Double {
    var difference = 0.0
    var size = 0.0
    for (weights, target) in zip(weights, target) {
      for index in 0..<target.count {
        let gap = weights[index] - target[index]
        difference += gap * gap
        size += target[index] * target[index]
      }
    }
    return (difference / max(size, .leastNormalMagnitude)).squareRoot()
  }
}
