import Cryptography
import Numerics
import Protocol
import Training

/// What a job's differentially private steps are to the engine.
extension JobDescription {
  /// Nil for a job whose gradients are those of a batch's mean.
  ///
  /// - Throws: `TrainingError`; never for a description that was validated.
  func sampleClipping() throws(TrainingError) -> SampleClipping? {
    guard let privacy else { return nil }
    return try SampleClipping(clipNorm: privacy.clipNorm, expectedBatch: Double(privacy.expectedBatch))
  }

  /// What is added to the gradients of a step: the noise of a private job, the same at every replica.
  ///
  /// - Throws: as `sampleClipping`.
  func correction<Element: FloatingElement>(
    workers: Workers
  ) throws(TrainingError) -> (any GradientCorrection<Element>)? {
    guard let privacy, let clipping = try sampleClipping() else { return nil }
    let secret = privacy.seed.withBytes { SecretBuffer(copying: $0) }
    return GaussianNoise<Element>(
      NoiseSource(secret: secret, context: "job"), noiseMultiplier: privacy.noiseMultiplier, clipping: clipping,
      workers: workers)
  }
}
