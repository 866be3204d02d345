import Foundations
import Masking
package import Numerics
package import OwnerRole
package import Protocol
package import Training

/// How a site reaches the provider that trains for it.
package struct TrainingProvider {
  package let channel: any OwnerChannel
  package let options: RunOptions
  private let isInterrupted: () -> Bool
  private let observe: (RunEvent) -> Void

  /// - Parameters:
  ///   - channel: connected to the provider's trainer.
  ///   - options: its patience is for a trainer that is away.
  ///   - isInterrupted: asked while it is away.
  ///   - observe: told when it is away, and when it is back.
  package init(
    channel: any OwnerChannel, options: RunOptions, isInterrupted: @escaping () -> Bool,
    observe: @escaping (RunEvent) -> Void
  ) {
    self.channel = channel
    self.options = options
    self.isInterrupted = isInterrupted
    self.observe = observe
  }

  /// The provider's software and kernel, once it answers: so that a wrong address or key shows before the site joins.
  ///
  /// - Throws: `SiteError.providerGone`, `.providerRefused`, `.interrupted`; `TransportError` for a key that it is not reached with.
  package func greet() throws -> TrainerGreeting {
    try Self.named {
      let connection = TrainerConnection<Float>(
        channel: channel, job: .random(), software: options.software, peer: options.peer, silence: options.silence)
      do {
        return try connection.greet(patience: options.patience, interrupted: isInterrupted) {
          observe(.waitingForTrainer($0))
        }
      } catch OwnerError.trainerGone(_) where isInterrupted() {
        throw OwnerError.interrupted(step: 0)
      }
    }
  }

  /// Tells whoever watches what the site goes on without.
  func warn(_ text: String) {
    observe(.warning(text))
  }

  func rounds<Element: FloatingElement>(
    _ prepared: PreparedJob, keys: JobKeys<Element>, samples: any MaskedSamples<Element>,
    initial: any PlaintextWeights, classWeights: [Double]? = nil, jobs: RoundJobs
  ) -> MaskedRounds<Element> {
    MaskedRounds(
      prepared: prepared, keys: keys, samples: samples, initial: initial, classWeights: classWeights, jobs: jobs,
      channel: channel, options: options, isInterrupted: isInterrupted, observe: observe)
  }

  /// Tells a provider's absence and refusals from the aggregator's, for which a site has the same words.
  fileprivate static func named<Value>(_ work: () throws -> Value) throws -> Value {
    do {
      return try work()
    } catch let interruption as RoundInterruption {
      throw interruption.cause
    } catch OwnerError.trainerGone(let what) {
      throw SiteError.providerGone(what)
    } catch OwnerError.refused(let kind, let reason) {
      throw SiteError.providerRefused(kind: kind, reason: reason)
    } catch OwnerError.interrupted {
      throw SiteError.interrupted
    }
  }
}

/// A site's local updates at a provider, under masks, by the protocol of jobs with the loss at the owner.
///
/// The same batches as `LocalTraining` has, and the same numbers up to the masks' rounding; the aggregator cannot tell.
package final class ProviderTraining<Element: FloatingElement>: LocalUpdates {
  package let stepsPerRound: Int
  private let rounds: MaskedRounds<Element>

  init(_ rounds: MaskedRounds<Element>, stepsPerRound: Int) {
    self.rounds = rounds
    self.stepsPerRound = stepsPerRound
  }

  /// - Throws: `SiteError.unsupported` for a correction or noise; `.providerGone`, `.providerRefused`; `OwnerError.diverged`; what `progress` throws.
  package func train(
    round: Int, from weights: [Tensor<Element>], correction: (any GradientCorrection<Element>)?, noise: NoiseSource?,
    progress: (Int, Int) throws -> Void
  ) throws -> LocalTraining<Element>.Outcome {
    guard correction == nil, noise == nil else {
      throw SiteError.unsupported("a provider does not correct the gradients of single steps (trainer:)")
    }
    let outcome = try TrainingProvider.named {
      try rounds.train(
        steps: round * stepsPerRound..<(round + 1) * stepsPerRound, from: weights, progress: progress)
    }
    return LocalTraining<Element>.Outcome(
      weights: outcome.weights, steps: stepsPerRound, lossSum: outcome.lossSum, observed: outcome.observed,
      rateSum: outcome.rateSum)
  }

  /// - Throws: as `train`.
  package func evaluate(
    _ weights: [Tensor<Element>], progress: () throws -> Void
  ) throws -> LocalTraining<Element>.Score? {
    try TrainingProvider.named { try rounds.evaluate(weights, progress: progress) }.map {
      LocalTraining<Element>.Score(
        rows: $0.rows, lossSum: $0.lossSum, observed: $0.observed, metrics: $0.metrics)
    }
  }

  /// - Throws: `SiteError.providerRefused`, `FileError`; not where the provider is away.
  package func end() throws {
    try TrainingProvider.named { try rounds.end() }
  }
}
