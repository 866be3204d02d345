import Cryptography
import Foundation
import Models
import Numerics
import Privacy
import Testing

@testable import Training

/// Whether what the accountant claims is what training does: a model is trained many times with and without one record, and a distinguisher
/// tells the two apart as well as it can. Its errors bound ε from below (Kairouz et al., 2015; Nasr et al., 2021): for every test,
/// 1 − β ≤ e^ε α + δ.
@Suite struct CanaryTests {
  private static let trials = 2000
  private static let steps = 8
  private static let (rows, expectedBatch) = (8, 4)
  private static let delta = 1e-3
  private static let sigma = 1.5
  private static let clipNorm = 1.0

  /// What the distinguisher sees of many trained models: a linear model of one output on one column, in which every record's gradient but the
  /// canary's is 0, which leaves the canary nowhere to hide.
  private func scores(withCanary: Bool, noise: Double) throws -> [Double] {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 1, padding: 0), hidden: [], activation: .relu, outputs: 1)
    let clipping = try SampleClipping(clipNorm: Self.clipNorm, expectedBatch: Double(Self.expectedBatch))
    let start = Tensor<Double>(zeros: [1, 2])
    let engine = try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: Self.steps, batchRows: Self.rows,
      sampleClipping: clipping, compute: Compute(threads: 1), parameters: [start])
    return try (0..<Self.trials).map { trial in
      let secret = withUnsafeBytes(of: (UInt64(trial), withCanary ? UInt64(1) : 0, UInt64(7), UInt64(9))) {
        SecretBuffer(copying: $0)
      }
      let sampling = try PoissonSampling(
        secret: secret, context: "canary", rows: Self.rows, expectedBatch: Self.expectedBatch)
      let correction = GaussianNoise<Double>(
        NoiseSource(secret: secret, context: "canary"), noiseMultiplier: noise, clipping: clipping,
        workers: Workers(threads: 1))
      engine.step = 0
      try engine.setParameters([start])
      for step in 0..<Self.steps {
        // Removing the canary leaves its place empty: no other record's draw changes.
        let batch = try sampling.batch(step: step).filter { withCanary || $0 != 0 }
        try engine.beginBatch(rows: batch.count)
        if !batch.isEmpty {
          _ = try engine.forward(rows: 0..<batch.count) { $0.update(repeating: 1) }
          try engine.setOutputGradient(
            Tensor(batch.map { $0 == 0 ? -100 : 0 }, shape: [batch.count, 1]), rows: 0..<batch.count)
        }
        _ = try engine.finishStep(correction: correction)
      }
      return engine.parameters[0].elements.reduce(0, +)
    }
  }

  /// P(X ≤ k) of n coins with probability p.
  private func distribution(_ k: Int, _ n: Int, _ p: Double) -> Double {
    if p <= 0 { return 1 }
    if p >= 1 { return k >= n ? 1 : 0 }
    // From (1 − p)ⁿ on, each term from the one before it.
    var term = Double(n) * log1p(-p)
    var sum = exp(term)
    for j in 1..<max(1, k + 1) {
      term += log(Double(n - j + 1) / Double(j)) + log(p) - log1p(-p)
      sum += exp(term)
    }
    return sum
  }

  /// The largest probability at which k or fewer of n would be seen with `risk` (Clopper and Pearson, 1934).
  private func upperBound(_ k: Int, of n: Int, risk: Double) -> Double {
    if k >= n { return 1 }
    var (low, high) = (0.0, 1.0)
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if distribution(k, n, middle) > risk { low = middle } else { high = middle }
    }
    return high
  }

  /// A lower bound of ε that holds with probability 1 − 1e-4: the threshold is chosen on one half of the trials, errors are counted on the other.
  private func measuredEpsilon(noise: Double) throws -> Double {
    let with = try scores(withCanary: true, noise: noise)
    let without = try scores(withCanary: false, noise: noise)
    let half = Self.trials / 2
    func errors(_ threshold: Double, _ part: Range<Int>) -> (missed: Int, raised: Int) {
      (part.count { with[$0] <= threshold }, part.count { without[$0] > threshold })
    }
    func bound(_ threshold: Double, _ part: Range<Int>, risk: Double) -> Double {
      let (missed, raised) = errors(threshold, part)
      let beta = upperBound(missed, of: part.count, risk: risk)
      let alpha = upperBound(raised, of: part.count, risk: risk)
      return max(log((1 - beta - Self.delta) / alpha), log((1 - alpha - Self.delta) / beta))
    }
    let candidates = (with + without).sorted().enumerated().filter { $0.offset % 100 == 50 }.map {
      (threshold: $0.element, epsilon: bound($0.element, 0..<half, risk: 0.05))
    }
    let best = candidates.max { $0.epsilon < $1.epsilon }?.threshold ?? 0
    return bound(best, half..<Self.trials, risk: 0.25e-4)
  }

  @Test func `No test tells a record's presence better than the claimed budget allows, unless the noise is left out`()
    throws
  {
    let claimed = try PrivacySpending.spent(
      [
        SubsampledGaussian(
          noiseMultiplier: Self.sigma, sampleRate: Double(Self.expectedBatch) / Double(Self.rows), steps: Self.steps)
      ], delta: Self.delta
    ).epsilon
    let measured = try measuredEpsilon(noise: Self.sigma)
    #expect(measured <= claimed)
    // The attack is one: it sees something.
    #expect(measured > 0.5)
    #expect(try measuredEpsilon(noise: 0) > claimed)
  }
}
