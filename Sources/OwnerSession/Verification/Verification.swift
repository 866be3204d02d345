import Architecture
import Foundation
import JobSpec
import Masking
package import Tensors
import Training

/// Trains the same steps twice in this process, masked and in plaintext, and compares the weights after unmasking.
///
/// Both runs use the same engine, samples and loss; only the keys differ (identity keys for plaintext), so the difference is what
/// masking costs in rounding, and any mistake in a key rule shows as a difference that no rounding explains.
package struct Verification<Element: FloatingElement> {
  private let prepared: PreparedJob
  private let workers: Workers

  package init(prepared: PreparedJob, workers: Workers) {
    self.prepared = prepared
    self.workers = workers
  }

  /// - Returns: the largest of ‖masked − plain‖∞ / ‖plain‖∞ over all trained parameters.
  /// - Throws: as reading and masking do; `OwnerError.diverged`.
  package func largestRelativeDifference(steps: Int, progress: (Int, Int) -> Void) throws -> Double {
    let plan = prepared.plan
    let total = min(steps, plan.totalSteps)
    let source = try VerificationSource<Element>(prepared, workers: workers)
    let masked = try VerifiedRun(prepared, plan: prepared.shape.keyPlan, source: source, workers: workers)
    let plain = try VerifiedRun(prepared, plan: try prepared.identityPlan(), source: source, workers: workers)
    var order: [Int32] = []
    for step in 0..<total {
      let epoch = step / plan.stepsPerEpoch
      if step % plan.stepsPerEpoch == 0 { order = plan.order(epoch: epoch) }
      let slots = order[plan.range(ofBatch: step % plan.stepsPerEpoch)]
      try plain.step(slots, epoch: epoch)
      try masked.step(slots, epoch: epoch)
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
