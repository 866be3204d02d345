import Cryptography
package import Numerics
package import Protocol
package import Training

/// What a federation's rule adds to the gradient of every local step of a round.
package enum RoundCorrection<Element: FloatingElement>: Sendable {
  /// μ(θ − θ₀), θ₀ the weights that the round starts from (FedProx).
  case proximal(strength: Double)
  /// c − c_k of the trained parameters in their order (SCAFFOLD).
  case controls(difference: [Tensor<Element>])
}

/// The noise of one round's local steps under privacy of records: the same again when the round is made again.
package struct RoundNoise: Sendable {
  /// As a site draws it on its own processors.
  package let source: NoiseSource
  /// What a provider draws it from, on what it has masked: from a secret of its own, which tells nothing of other rounds or of the batches.
  package let seed: NoiseSeed

  /// - Parameters:
  ///   - own, provider: 32 bytes each, of this round alone.
  /// - Returns: nil for a secret of another size.
  init?(own: SecretBuffer, provider: SecretBuffer) {
    guard let seed = provider.withUnsafeBytes({ NoiseSeed(Array($0)) }) else { return nil }
    source = NoiseSource(secret: own, context: "local steps")
    self.seed = seed
  }
}

/// Where a site's local updates are made, and models scored on its validation rows: on its own processors, or at a provider.
package protocol LocalUpdates<Element> {
  associatedtype Element: FloatingElement

  /// Optimizer steps a round.
  var stepsPerRound: Int { get }

  /// Makes the local updates of a round, with an optimizer that remembers nothing of the rounds before.
  ///
  /// - Parameters:
  ///   - weights: the trained parameters to start from, in their order.
  ///   - correction: what is added to the loss's gradients at every step; nil for nothing.
  ///   - noise: of this round's steps, under privacy of records alone.
  ///   - progress: steps done and steps in all; what it throws ends the round.
  func train(
    round: Int, from weights: [Tensor<Element>], correction: RoundCorrection<Element>?, noise: RoundNoise?,
    progress: (Int, Int) throws -> Void
  ) throws -> LocalTraining<Element>.Outcome

  /// - Parameters:
  ///   - weights: the trained parameters in their order.
  ///   - progress: called after every part; what it throws ends the evaluation.
  /// - Returns: nil when the split leaves no validation rows.
  func evaluate(_ weights: [Tensor<Element>], progress: () throws -> Void) throws -> LocalTraining<Element>.Score?

  /// Nothing is asked for any more.
  func end() throws
}

extension LocalUpdates {
  package func end() throws {}
}

extension LocalTraining: LocalUpdates {
  package func train(
    round: Int, from weights: [Tensor<Element>], correction: RoundCorrection<Element>?, noise: RoundNoise?,
    progress: (Int, Int) throws -> Void
  ) throws -> Outcome {
    let added: (any GradientCorrection<Element>)? =
      switch correction {
      case .proximal(let strength): ProximalTerm(strength: strength, origin: weights)
      case .controls(let difference): ControlVariates(difference: difference)
      case nil: nil
      }
    return try train(round: round, from: weights, adding: added, noise: noise?.source, progress: progress)
  }
}
