import Federation
import Foundation
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Training

@testable import SiteRole

/// The parts that a round is made of, in double precision and without fixed point, put together: local work of three sites, keys and the server's
/// rule.
struct DoubleFederation {
  static let rounds = 5
  static let units = 4

  let federation: SmallFederation
  /// Of each site, on its own processors.
  let own: [LocalTraining<Double>]
  /// Of each site, where it trains.
  let training: [any LocalUpdates<Double>]
  let start: [Tensor<Double>]
  let weights: [Double]
  let model: GlobalModel<Double>

  /// - Parameters:
  ///   - masking: of the sites that train at `host`, by their number.
  init(_ federation: SmallFederation, at host: ProviderHost<Double>? = nil, masking: [Int: String] = [:]) throws {
    self.federation = federation
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    let data = try federation.rows.indices.map { try federation.data($0) }
    let shape = data[0].prepared.shape
    let own = try federation.rows.indices.map {
      try SiteTrainings.own(federation, site: $0, secret: secret, rounds: Self.rounds)
    }
    self.own = own
    start = try SiteTrainings.start(federation, site: 0, secret: secret)
    training = try federation.rows.indices.map { site in
      guard let host, let masking = masking[site] else { return own[site] }
      return try SiteTrainings.provided(
        federation, site: site, masking: masking, host: host, secret: secret, rounds: Self.rounds)
    }
    let isByRows = federation.plan.charter.federation.weighting == .rows
    weights = data.map { isByRows ? Double($0.prepared.split.training.count) : 1 }
    model = try GlobalModel(
      plan: federation.plan, shape: shape, group: federation.group, compute: Compute(threads: 1))
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
  /// - Parameters:
  ///   - isMasked: whether the aggregator has models and updates under the group's key.
  ///   - training: of each site; by default where it trains.
  ///   - isCorrected: whether local steps have what the strategy adds to them.
  /// - Returns: the last model in the clear, and the first as the aggregator had it.
  func run(
    isMasked: Bool, training: [any LocalUpdates<Double>]? = nil, isCorrected: Bool = true
  ) throws -> (model: [Double], sent: [Double]) {
    let training = training ?? self.training
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
    for round in 0..<Self.rounds {
      var mean = global.map { _ in 0.0 }
      var controlSum = mean
      let all = try flat(read(control))
      for site in training.indices {
        let before = try read(global)
        var correction: RoundCorrection<Double>?
        if !isCorrected {
          correction = nil
        } else if settings.strategy.mu > 0 {
          correction = .proximal(strength: settings.strategy.mu)
        } else if settings.strategy.kind.hasControlVariates {
          correction = .controls(difference: tensors(zip(all, siteControls[site]).map { $0 - $1 }))
        }
        let outcome = try training[site].train(
          round: round, from: before, correction: correction, noise: nil, progress: { _, _ in })
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
      units: Self.units, strategy: federation.plan.charter.federation.strategy, weights: weights,
      start: withoutPadding(flat(start)))
    let values = federation.rows.indices.map { federation.values(of: $0) }
    for round in 0..<Self.rounds {
      rounds.round(
        try own.enumerated().map { site, training in
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
