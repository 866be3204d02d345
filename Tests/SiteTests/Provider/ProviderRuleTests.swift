import Cryptography
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing
import Training

@testable import SiteRole

/// What a charter asks of single local steps, at a provider: in double precision the numbers of the site's own processors.
@Suite(.waiting) struct ProviderRuleTests {
  private struct Rule: Sendable, CustomTestStringConvertible {
    let strategy: String
    let optimizer: String
    let schedule: String?

    var testDescription: String { "\(strategy), \(optimizer), \(schedule ?? "one rate")" }

    static let plain = "{name: sgd, lr: 0.05, momentum: 0}"
    static let rotated = [
      Rule(strategy: "name: fedprox, mu: 0.3", optimizer: plain, schedule: nil),
      Rule(strategy: "name: scaffold", optimizer: plain, schedule: nil),
      Rule(strategy: "name: fedavg", optimizer: plain, schedule: "{warmup: 0.2, decay: cosine}"),
      Rule(
        strategy: "name: fedprox, mu: 0.3",
        optimizer: "{name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01, clip_norm: 0.5}",
        schedule: "{decay: linear}"),
      Rule(
        strategy: "name: fedavgm, momentum: 0.8", optimizer: "{name: muon, lr: 0.02}",
        schedule: "{warmup: 0.5, decay: linear}"),
    ]
    static let permuted =
      rotated
      + [
        Rule(
          strategy: "name: fedprox, mu: 0.3", optimizer: "{name: adamw, lr: 0.01}",
          schedule: "{warmup: 0.1, decay: cosine}")
      ]
  }

  /// Five rounds of three steps, some hundred roundings of numbers of order 1, of 1e-16 each, and what gradient descent makes of a difference; the
  /// charter's bar for the same rules without a provider.
  private static let tolerance = 1e-10

  private static let cases = Rule.rotated.map { ($0, "rotation") } + Rule.permuted.map { ($0, "permutation") }

  @Test(arguments: cases.indices)
  func `Five rounds of every rule are those of sites that train themselves`(_ index: Int) throws {
    let (rule, strength) = Self.cases[index]
    let federation = try SmallFederation(
      rounds: DoubleFederation.rounds, strategy: "{\(rule.strategy), weighting: rows}", strength: strength,
      hidden: "[\(DoubleFederation.units)]", optimizer: rule.optimizer, schedule: rule.schedule)
    let host = ProviderHost<Double>(try TemporaryDirectory())
    defer { host.shutDown() }
    let sites = try DoubleFederation(federation, at: host, masking: [0: strength, 2: strength])
    let (found, _) = try sites.run(isMasked: true)
    let (own, start) = try sites.run(isMasked: true, training: sites.own)
    for (a, b) in zip(found, own) { #expect(abs(a - b) <= Self.tolerance, "\(rule), \(strength)") }
    #expect(zip(own, start).contains { abs($0 - $1) > 1e-2 })
    #expect(host.jobs.isEmpty)
    // That the rule made a difference at all: the same work without it.
    if !rule.strategy.contains("fedavg") {
      let (without, _) = try sites.run(isMasked: true, training: sites.own, isCorrected: false)
      #expect(zip(found, without).contains { abs($0 - $1) > 1e-4 }, "\(rule)")
    }
  }

  @Test func `The rates of a schedule go on from round to round`() throws {
    let federation = try SmallFederation(
      rounds: 2, optimizer: "{name: sgd, lr: 0.6, momentum: 0}", schedule: "{decay: linear}")
    let host = ProviderHost<Double>(try TemporaryDirectory())
    defer { host.shutDown() }
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    let training = try SiteTrainings.provided(
      federation, site: 0, masking: "rotation", host: host, secret: secret, rounds: 2)
    let start = try SiteTrainings.start(federation, site: 0, secret: secret)
    // Of six steps, three a round: 0.6, 0.5, 0.4, and then 0.3, 0.2, 0.1.
    for (round, sum) in [1.5, 0.6].enumerated() {
      let outcome = try training.train(
        round: round, from: start, correction: nil, noise: nil, progress: { _, _ in })
      #expect(abs(outcome.rateSum - sum) <= 1e-12)
    }
  }

  /// The noise that a provider drew, unmasked: what a site would have to add to make the same steps.
  private struct UnmaskedNoise: GradientCorrection {
    let masked: GaussianNoise<Double>
    let keys: JobKeys<Double>
    let specifications: [ParameterSpecification]
    let firstStep: Int

    func add(
      _ number: Int, step: Int, weights: UnsafeBufferPointer<Double>, to gradient: UnsafeMutableBufferPointer<Double>
    ) {
      var drawn = Tensor<Double>(zeros: specifications[number].shape)
      // A round at a provider is a job of its own, whose steps count from 0.
      drawn.withUnsafeMutableBufferPointer { masked.add(number, step: step - firstStep, weights: weights, to: $0) }
      guard let noise = try? keys.unmaskParameter(drawn, specifications[number]) else { return }
      for index in gradient.indices { gradient[index] += noise[index] }
    }
  }

  /// Two rows of 14 on average, so that some batches are empty.
  @Test(arguments: ["rotation", "permutation", "input-only"], [0, 0.7])
  func `Private steps are the site's own, with the provider's noise unmasked`(masking: String, pull: Double) throws {
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 0.4, epsilon: 2, delta: 1.0e-2", rounds: 2, local: "{updates: 12}",
      strength: "rotation", hidden: "[3]", batch: 2)
    let host = ProviderHost<Double>(try TemporaryDirectory())
    defer { host.shutDown() }
    let privacy = try #require(try federation.work(0, secret: PrivacyFixture.secret(0)).privacy)
    let steps = try #require(try privacy.localSteps(federation.plan.charter, trainingRows: 14))
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    let own = try SiteTrainings.own(federation, site: 0, secret: secret, rounds: 2, privateSteps: steps)
    let (provided, keys) = try SiteTrainings.provider(
      federation, site: 0, masking: masking, host: host, secret: secret, rounds: 2, privateSteps: steps)
    let specifications = own.prepared.shape.structure.parameters
    var weights = try SiteTrainings.start(federation, site: 0, secret: secret)
    for round in 0..<2 {
      let noise = try #require(privacy.stepNoise(round: round, model: "m"))
      let found = try provided.train(
        round: round, from: weights, correction: pull > 0 ? .proximal(strength: pull) : nil, noise: noise,
        progress: { _, _ in })
      let drawn = UnmaskedNoise(
        masked: GaussianNoise(
          NoiseSource(secret: noise.seed.withBytes { SecretBuffer(copying: $0) }, context: "job"),
          noiseMultiplier: steps.noiseMultiplier, clipping: steps.clipping, workers: Workers(threads: 1)),
        keys: keys, specifications: specifications, firstStep: 12 * round)
      var added: [any GradientCorrection<Double>] = [drawn]
      if pull > 0 { added.append(ProximalTerm(strength: pull, origin: weights)) }
      let expected = try own.train(round: round, from: weights, adding: CombinedCorrection(added))
      for (a, b) in zip(found.weights, expected.weights) {
        for (a, b) in zip(a.elements, b.elements) { #expect(abs(a - b) <= Self.tolerance) }
      }
      #expect(found.observed == expected.observed)
      #expect(abs(found.lossSum - expected.lossSum) <= Self.tolerance * max(1, expected.lossSum))
      // Not the noise that the site's own processors would have drawn.
      let alone = try own.train(round: round, from: weights, noise: noise.source)
      #expect(zip(alone.weights[0].elements, found.weights[0].elements).contains { abs($0 - $1) > 1e-3 })
      weights = expected.weights
    }
    let sizes = try (0..<24).map { try own.rows(ofStep: $0).count }
    #expect(sizes.contains(0) && sizes.contains { $0 > 2 })
    #expect(host.jobs.isEmpty)
  }

  @Test func `Seeds differ by round and model, and are not the site's own secrets`() throws {
    let federation = try PrivacyFixture.federation(unit: "record", privacy: "clip_norm: 0.4, epsilon: 2, delta: 1.0e-2")
    let privacy = try #require(try federation.work(0, secret: PrivacyFixture.secret(0)).privacy)
    let context = "charter \(federation.plan.digest.hexadecimal)/site site0"
    let derived = ["\(context)/round 0/model m", "\(context)/batches"].map { purpose in
      PrivacyFixture.secret(0).derived(purpose).withUnsafeBytes { Array($0) }
    }
    let seeds = [(0, "m"), (1, "m"), (0, "n")].compactMap { round, model in
      privacy.stepNoise(round: round, model: model)?.seed.withBytes { Array($0) }
    }
    #expect(Set(seeds + derived).count == 5)
  }

  @Test func `Private steps without noise are refused`() throws {
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 0.4, epsilon: 2, delta: 1.0e-2", strength: "rotation")
    let host = ProviderHost<Double>(try TemporaryDirectory())
    defer { host.shutDown() }
    let privacy = try #require(try federation.work(0, secret: PrivacyFixture.secret(0)).privacy)
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    let provided = try SiteTrainings.provided(
      federation, site: 0, masking: "rotation", host: host, secret: secret, rounds: 2,
      privateSteps: try privacy.localSteps(federation.plan.charter, trainingRows: 14))
    let start = try SiteTrainings.start(federation, site: 0, secret: secret)
    #expect(
      throws: SiteError.unsupported("a provider makes no private steps without their noise (trainer:)")
    ) {
      try provided.train(round: 0, from: start, correction: nil, noise: nil, progress: { _, _ in })
    }
    #expect(host.jobs.isEmpty)
  }

  /// As one of a version before answers an owner of today.
  @Test func `A provider of another version is named, and nothing is trained without what was asked for`() throws {
    let federation = try SmallFederation(strategy: "{name: fedprox, mu: 0.3, weighting: rows}")
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    host.network.setFault { transit in
      var message = transit.message
      if transit.direction == .toServer { message[0][4] = UInt8(WireVersion.current.rawValue) + 1 }
      return [message]
    }
    let error = #expect(throws: SiteError.self) { try host.provider(of: federation, 0).greet() }
    #expect(error?.kind == .refused)
    #expect(error?.description.hasPrefix("the provider (trainer:) refuses: ") == true)
    #expect(error?.description.contains("wire version") == true)
  }

  @Test func `A job says what the charter asks for, and no more`() throws {
    let federation = try SmallFederation(
      rounds: 2, strategy: "{name: scaffold, weighting: rows}", hidden: "[64]")
    let sent = Mutex<[JobDescription]>([])
    let host = ProviderHost<Double>(try TemporaryDirectory())
    defer { host.shutDown() }
    host.network.setFault { transit in
      if transit.direction == .toServer, let request = try? MessageCodec<Double>().ownerMessage(transit.message),
        case .submit(let description) = request.message
      {
        sent.withLock { $0.append(description) }
      }
      return [transit.message]
    }
    let sites = try DoubleFederation(federation, at: host, masking: [1: "rotation"])
    _ = try sites.training[1].train(
      round: 0, from: sites.start, correction: .controls(difference: sites.start), noise: nil, progress: { _, _ in })
    let description = try #require(sent.withLock { $0.first })
    #expect(description.correction == StepCorrection(hasOffsets: true))
    #expect(description.schedule.part == nil, "one rate needs no schedule over the rounds")
  }
}
