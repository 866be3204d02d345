package import Numerics
package import Training

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
    round: Int, from weights: [Tensor<Element>], correction: (any GradientCorrection<Element>)?, noise: NoiseSource?,
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

extension LocalTraining: LocalUpdates {}
