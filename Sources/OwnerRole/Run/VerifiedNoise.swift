import Cryptography
import Masking
import Models
import Numerics
import Protocol
import Training

/// The noise of a private job's steps in a verification: drawn as the trainer draws it, in the coordinates of the masks; what trains in plaintext gets
/// the same noise unmasked.
struct VerifiedNoise<Element: FloatingElement> {
  /// As the trainer adds it.
  let masked: GaussianNoise<Element>
  /// Of the trained parameters, in their order.
  private let specifications: [ParameterSpecification]

  /// Nil for a job without privacy.
  init?(_ prepared: PreparedJob, workers: Workers) {
    guard let privacy = prepared.privacy else { return nil }
    let secret = privacy.seed.withBytes { SecretBuffer(copying: $0) }
    masked = GaussianNoise(
      NoiseSource(secret: secret, context: "job"), noiseMultiplier: privacy.noiseMultiplier,
      clipping: privacy.clipping, workers: workers)
    specifications = prepared.shape.structure.parameters.filter(\.isTrained)
  }

  /// The noise of step t for an engine with other keys.
  ///
  /// - Parameters:
  ///   - keys: of the masked engine.
  ///   - others: of the engine that it is for.
  func carried(_ step: Int, from keys: JobKeys<Element>, to others: JobKeys<Element>) throws
    -> some GradientCorrection<Element>
  {
    DrawnNoise(
      noise: try specifications.enumerated().map { number, specification in
        var drawn = Tensor<Element>(zeros: specification.shape)
        drawn.withUnsafeMutableBufferPointer {
          masked.add(number, step: step, weights: UnsafeBufferPointer($0), to: $0)
        }
        return try others.maskParameter(keys.unmaskParameter(drawn, specification), specification)
      })
  }
}

/// Noise of one step that is drawn already.
private struct DrawnNoise<Element: FloatingElement>: GradientCorrection {
  /// Of the trained parameters, in their order.
  let noise: [Tensor<Element>]

  func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>
  ) {
    noise[number].withUnsafeBufferPointer { noise in
      for index in gradient.indices { gradient[index] += noise[index] }
    }
  }
}
