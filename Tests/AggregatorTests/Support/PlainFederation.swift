import Federation
import Foundation
import JobSpec
import Models
import SecureSums

/// The federation again, from the survivors of each sum that were written down: sums of the same integers without masks, and each strategy's
/// rule as the papers have it, one entry at a time in one loop.
struct PlainFederation {
  private(set) var models: [[Float]]
  private let federation: TestFederation
  private var momentum: [Double]
  private var squares: [Double]

  /// - Parameter survivors: of each round, by their places.
  init(_ federation: TestFederation, survivors: [[Int]]) throws {
    self.federation = federation
    let entries = federation.entries
    let strategy = federation.plan.charter.federation.strategy
    let controls = strategy.kind == .scaffold ? [Float](repeating: 0, count: entries) : []
    models = [federation.start + controls]
    momentum = Array(repeating: 0, count: entries)
    squares = Array(repeating: strategy.tau * strategy.tau, count: entries)
    for (round, sites) in survivors.enumerated() { models.append(try step(round, sites)) }
  }

  private mutating func step(_ round: Int, _ sites: [Int]) throws -> [Float] {
    let entries = federation.entries
    let model = models[round]
    let format = try federation.format(of: .update(round: round))
    var sum = format.vector()
    for site in sites {
      for (index, value) in try federation.vector(of: site, for: .update(round: round), model: model).enumerated() {
        sum[index] &+= value
      }
    }
    let settings = federation.plan.charter.federation
    let weight = Double(sites.reduce(0) { $0 + (settings.weighting == .rows ? federation.rows($1) : 1) })
    let updates = try format.decode(sum, block: "update")
    var next = model
    for index in 0..<entries {
      next[index] = Float(Double(model[index]) + change(updates[index] / weight, index, settings.strategy))
    }
    if settings.strategy.kind == .scaffold {
      let changes = try format.decode(sum, block: "control variates")
      let all = Double(federation.plan.charter.sites.count)
      for index in 0..<entries {
        next[entries + index] = Float(Double(model[entries + index]) + changes[index] / all)
      }
    }
    return next
  }

  private mutating func change(_ mean: Double, _ index: Int, _ strategy: StrategyDescription) -> Double {
    let (rate, beta1, beta2, tau) = (strategy.serverLearningRate, strategy.beta1, strategy.beta2, strategy.tau)
    switch strategy.kind {
    case .fedavg, .fedprox, .scaffold: return rate * mean
    case .fedavgm:
      momentum[index] = beta1 * momentum[index] + mean
      return rate * momentum[index]
    case .fedadagrad, .fedadam, .fedyogi:
      let square = mean * mean
      let old = squares[index]
      if strategy.kind == .fedadagrad {
        squares[index] = old + square
      } else if strategy.kind == .fedadam {
        squares[index] = beta2 * old + (1 - beta2) * square
      } else {
        let sign = old > square ? 1.0 : old < square ? -1.0 : 0.0
        squares[index] = old - (1 - beta2) * square * sign
      }
      momentum[index] = beta1 * momentum[index] + (1 - beta1) * mean
      return rate * momentum[index] / (squares[index].squareRoot() + tau)
    }
  }
}
