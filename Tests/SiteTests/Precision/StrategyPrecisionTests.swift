import Federation
import Foundation
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Testing
import Training

@testable import SiteRole

/// The parts that a round is made of, in double precision and without fixed point, put together: local work, keys and the server's rule, of every
/// strategy, against loops that are written out.
@Suite struct StrategyPrecisionTests {
  private static let rounds = 5
  private static let units = 4

  /// Strategies, and the keys that each allows.
  static let cases: [(strategy: String, strength: String)] =
    [
      "name: fedavg, server_lr: 0.7", "name: fedavgm, momentum: 0.8", "name: fedprox, mu: 0.3", "name: scaffold",
    ].flatMap { [($0, "rotation"), ($0, "permutation")] }
    + [
      "name: fedadagrad, server_lr: 0.1, tau: 1.0e-3",
      "name: fedadam, server_lr: 0.05, betas: [0.8, 0.95], tau: 1.0e-3",
      "name: fedyogi, server_lr: 0.05, betas: [0.8, 0.95], tau: 1.0e-3",
    ].map { ($0, "permutation") }

  /// Three sites in double precision.
  private struct Sites {
    let federation: SmallFederation
    let training: [LocalTraining<Double>]
    let start: [Tensor<Double>]
    let weights: [Double]
    let model: GlobalModel<Double>

    init(_ federation: SmallFederation) throws {
      self.federation = federation
      let compute = Compute(threads: 1)
      let data = try federation.rows.indices.map { try federation.data($0) }
      let shape = data[0].prepared.shape
      let drawn = shape.startingWeights(secret: try OrderSecret(ephemeralWithSeed: 1))
      let start: [Tensor<Double>] = try shape.structure.parameters.map { try drawn.tensor($0) }
      self.start = start
      training = try data.map { site in
        let keys = JobKeys<Double>(master: MasterKey(), plan: site.prepared.shape.keyPlan, compute: compute)
        var times = PhaseTimes()
        let samples = try site.prepared.readSamples(
          keys: keys, master: MasterKey(), noise: nil, standardization: nil, scratch: federation.directory.url,
          times: &times, progress: { _, _ in }
        ).samples
        return try LocalTraining(
          prepared: site.prepared, samples: samples, initial: start, stepsPerRound: site.stepsPerRound,
          rounds: StrategyPrecisionTests.rounds, compute: compute)
      }
      let isByRows = federation.plan.charter.federation.weighting == .rows
      weights = data.map { isByRows ? Double($0.prepared.split.training.count) : 1 }
      model = try GlobalModel(plan: federation.plan, shape: shape, group: federation.group, compute: compute)
    }

    private func flat(_ tensors: [Tensor<Double>]) -> [Double] { tensors.flatMap(\.elements) }

    private func tensors(_ vector: [Double]) -> [Tensor<Double>] {
      var first = 0
      return start.map { tensor in
        defer { first += tensor.count }
        return Tensor(Array(vector[first..<first + tensor.count]), shape: tensor.shape)
      }
    }

    /// All rounds as sites and aggregator make them.
    ///
    /// - Parameter isMasked: whether the aggregator has models and updates under the group's key.
    /// - Returns: the last model in the clear, and the first as the aggregator had it.
    func run(isMasked: Bool) throws -> (model: [Double], sent: [Double]) {
      let settings = federation.plan.charter.federation
      func sent(_ vector: [Double]) throws -> [Double] { isMasked ? try model.masked(tensors(vector)) : vector }
      func read(_ vector: [Double]) throws -> [Tensor<Double>] {
        isMasked ? try model.unmasked(vector[...]) : tensors(vector)
      }
      var global = try sent(flat(start))
      let first = global
      var rule = ServerStrategy<Double>(
        federation.plan.rule, rate: settings.strategy.serverLearningRate, count: global.count)
      var control = global.map { _ in 0.0 }
      var siteControls = weights.map { _ in global.map { _ in 0.0 } }
      let total = weights.reduce(0, +)
      for round in 0..<StrategyPrecisionTests.rounds {
        var mean = global.map { _ in 0.0 }
        var controlSum = mean
        let all = try flat(read(control))
        for site in training.indices {
          let before = try read(global)
          var correction: (any GradientCorrection<Double>)?
          if settings.strategy.mu > 0 {
            correction = ProximalTerm(strength: settings.strategy.mu, origin: before)
          } else if settings.strategy.kind.hasControlVariates {
            correction = ControlVariates(difference: tensors(zip(all, siteControls[site]).map { $0 - $1 }))
          }
          let outcome = try training[site].train(round: round, from: before, correction: correction)
          let update = zip(flat(outcome.weights), flat(before)).map { $0 - $1 }
          for (place, value) in try sent(update).enumerated() { mean[place] += weights[site] * value / total }
          guard settings.strategy.kind.hasControlVariates else { continue }
          let change = zip(update, all).map { -$0 / outcome.rateSum - $1 }
          for (place, value) in change.enumerated() { siteControls[site][place] += value }
          for (place, value) in try sent(change).enumerated() { controlSum[place] += value }
        }
        rule.apply(mean, to: &global)
        for place in control.indices { control[place] += controlSum[place] / Double(weights.count) }
      }
      return (try flat(read(global)), first)
    }

    /// Without the columns of padding: [W | b] unit after unit, then the output's weights and bias.
    func withoutPadding(_ vector: [Double]) -> [Double] {
      let (wanted, columns) = (PlainRounds.features + 1, start[0].columns)
      let hidden = (0..<start[0].count).filter { $0 % columns < wanted }.map { vector[$0] }
      return hidden + vector[start[0].count...]
    }

    /// The same by loops over single numbers.
    func plain() throws -> [Double] {
      var rounds = PlainRounds(
        units: StrategyPrecisionTests.units, strategy: federation.plan.charter.federation.strategy, weights: weights,
        start: withoutPadding(flat(start)))
      let values = federation.rows.indices.map { federation.values(of: $0) }
      for round in 0..<StrategyPrecisionTests.rounds {
        rounds.round(
          try training.enumerated().map { site, training in
            try (0..<training.stepsPerRound).map { step in
              try training.rows(ofStep: round * training.stepsPerRound + step).map {
                (values[site].features[Int($0)], values[site].targets[Int($0)])
              }
            }
          })
      }
      return rounds.model
    }
  }

  @Test(arguments: cases, ["rows", "equal"])
  func `Five rounds of every strategy, masked and not, are those of plain loops`(
    strategy: (strategy: String, strength: String), weighting: String
  ) throws {
    let sites = try Sites(
      SmallFederation(
        rounds: Self.rounds, strategy: "{\(strategy.strategy), weighting: \(weighting)}", strength: strategy.strength,
        hidden: "[\(Self.units)]"))
    let expected = try sites.plain()
    let (clear, start) = try sites.run(isMasked: false)
    let (masked, sent) = try sites.run(isMasked: true)
    #expect(expected.count == 4 * Self.units + Self.units + 1)
    // The charter's bar. Some hundred roundings of numbers of order 1, of 1e-16 each, are multiplied by 1/τ = 1e3 at most and by what five
    // rounds of gradient descent make of a difference.
    for found in [clear, masked] {
      for (a, b) in zip(sites.withoutPadding(found), expected) { #expect(abs(a - b) <= 1e-10) }
    }
    // That the aggregator had something else, and that there was something to learn.
    #expect(zip(sent, start).contains { abs($0 - $1) > 1e-2 })
    #expect(zip(expected, sites.withoutPadding(start)).contains { abs($0 - $1) > 1e-2 })
  }
}
