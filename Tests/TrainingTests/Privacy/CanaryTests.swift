import Cryptography
import Foundation
import Models
import Numerics
import Privacy
import TestSupport
import Testing

@testable import Training

/// Whether what the accountant claims is what training does: a model is trained many times with and without one record, and a distinguisher
/// tells the two apart as well as it can. Its errors bound ε from below.
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

  private func measuredEpsilon(noise: Double) throws -> Double {
    MeasuredEpsilon.lowerBound(
      with: try scores(withCanary: true, noise: noise), without: try scores(withCanary: false, noise: noise),
      delta: Self.delta)
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
