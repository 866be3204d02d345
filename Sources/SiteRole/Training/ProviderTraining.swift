import Foundations
import Masking
package import Numerics
package import OwnerRole
package import Protocol
import Training

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
    initial: any PlaintextWeights, classWeights: [Double]? = nil, jobs: RoundJobs, scheduledSteps: Int
  ) -> MaskedRounds<Element> {
    MaskedRounds(
      prepared: prepared, keys: keys, samples: samples, initial: initial, classWeights: classWeights, jobs: jobs,
      scheduledSteps: scheduledSteps, channel: channel, options: options, isInterrupted: isInterrupted, observe: observe
    )
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
/// The same batches as `LocalTraining` has, and the same numbers up to the masks' rounding; the aggregator cannot tell. Noise of private steps is
/// drawn by the provider, on what it has masked: as much of it, and as random, but other numbers.
package final class ProviderTraining<Element: FloatingElement>: LocalUpdates {
  package let stepsPerRound: Int
  private let rounds: MaskedRounds<Element>
  private let privateSteps: PrivateSteps?

  /// - Parameter privateSteps: how rows are drawn and clipped under privacy of records; nil without.
  init(_ rounds: MaskedRounds<Element>, stepsPerRound: Int, privateSteps: PrivateSteps? = nil) {
    self.rounds = rounds
    self.stepsPerRound = stepsPerRound
    self.privateSteps = privateSteps
  }

  /// - Throws: `SiteError.unsupported` for private steps without noise; `.providerGone`, `.providerRefused`; `OwnerError.diverged`; what `progress`
  ///   throws.
  package func train(
    round: Int, from weights: [Tensor<Element>], correction: RoundCorrection<Element>?, noise: RoundNoise?,
    progress: (Int, Int) throws -> Void
  ) throws -> LocalTraining<Element>.Outcome {
    let terms = try terms(correction, noise)
    let outcome = try TrainingProvider.named {
      try rounds.train(
        steps: round * stepsPerRound..<(round + 1) * stepsPerRound, from: weights, with: terms, progress: progress)
    }
    return LocalTraining<Element>.Outcome(
      weights: outcome.weights, steps: stepsPerRound, lossSum: outcome.lossSum, observed: outcome.observed,
      rateSum: outcome.rateSum)
  }

  private func terms(_ correction: RoundCorrection<Element>?, _ noise: RoundNoise?) throws -> RoundTerms<Element> {
    var terms = RoundTerms<Element>()
    switch correction {
    case .proximal(let strength): terms.proximalStrength = strength
    case .controls(let difference): terms.offsets = difference
    case nil: break
    }
    guard let privateSteps else { return terms }
    guard let noise else {
      throw SiteError.unsupported("a provider makes no private steps without their noise (trainer:)")
    }
    terms.privacy = RoundPrivacy(
      sampling: privateSteps.sampling,
      steps: StepPrivacy(
        clipNorm: privateSteps.clipping.clipNorm, expectedBatch: privateSteps.sampling.expectedBatch,
        noiseMultiplier: privateSteps.noiseMultiplier, seed: noise.seed))
    return terms
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
