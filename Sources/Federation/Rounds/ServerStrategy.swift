package import Numerics

/// How the average of the sites' updates becomes the next global model.
///
/// θ the model, Δ the weighted mean of θ_k − θ over the sites that took part. All rules work entry by entry; `average` and `momentum`
/// are linear in Δ as well, so that they commute with every key of the scheme, the others only with those that move entries.
package enum ServerRule: Sendable, Equatable, Codable {
  /// θ ← θ + s Δ (FedAvg: McMahan et al., 2017; s = 1).
  case average
  /// m ← β m + Δ, θ ← θ + s m (FedAvgM: Hsu et al., 2019).
  case momentum(Double)
  /// m ← β₁ m + (1 − β₁) Δ; v ← v + Δ²; θ ← θ + s m / (√v + τ) (Reddi et al., 2021, algorithm 2).
  case adagrad(beta1: Double, tau: Double)
  /// The same with v ← β₂ v + (1 − β₂) Δ².
  case adam(beta1: Double, beta2: Double, tau: Double)
  /// The same with v ← v − (1 − β₂) Δ² sign(v − Δ²).
  case yogi(beta1: Double, beta2: Double, tau: Double)

  /// The least that an entry is moved by, whatever the rule remembers, as long as that does not point the other way.
  ///
  /// - Parameters:
  ///   - mean: the entry of Δ.
  ///   - rate: s.
  ///   - round: from 0.
  ///   - bound: of the absolute value of every entry of every Δ.
  package func leastStep(_ mean: Double, rate: Double, round: Int, bound: Double) -> Double {
    switch self {
    case .average, .momentum: rate * mean
    case .adagrad(let beta, let tau), .adam(let beta, _, let tau), .yogi(let beta, _, let tau):
      // v begins as τ² and gains at most the bound's square with each round.
      rate * (1 - beta) * mean / ((tau * tau + Double(round + 1) * bound * bound).squareRoot() + tau)
    }
  }

  /// Vectors of the model's size that it keeps.
  package var memoryVectors: Int {
    switch self {
    case .average: 0
    case .momentum: 1
    case .adagrad, .adam, .yogi: 2
    }
  }
}

/// A server rule with what it remembers of the rounds before. Arithmetic in Double whatever the model's format, each entry by itself, so that
/// neither threads nor keys that move entries change a bit of the result.
package struct ServerStrategy<Element: FloatingElement>: Sendable {
  package let rule: ServerRule
  /// s, above 0.
  package let rate: Double
  /// m, then v, as far as the rule has them; each of the model's size.
  package private(set) var memory: [[Double]]

  /// - Parameter count: entries of the model.
  package init(_ rule: ServerRule, rate: Double, count: Int) {
    self.rule = rule
    self.rate = rate
    memory = Array(repeating: Array(repeating: 0, count: count), count: rule.memoryVectors)
    // v₀ = τ².
    if case .adagrad(_, let tau) = rule { memory[1] = Array(repeating: tau * tau, count: count) }
    if case .adam(_, _, let tau) = rule { memory[1] = Array(repeating: tau * tau, count: count) }
    if case .yogi(_, _, let tau) = rule { memory[1] = Array(repeating: tau * tau, count: count) }
  }

  /// Goes on with what an earlier process remembered.
  ///
  /// - Returns: nil when `memory` is not of the rule's number of vectors of `count` entries.
  package init?(_ rule: ServerRule, rate: Double, count: Int, memory: [[Double]]) {
    guard memory.count == rule.memoryVectors, memory.allSatisfy({ $0.count == count }) else { return nil }
    self.rule = rule
    self.rate = rate
    self.memory = memory
  }

  /// Makes the next model.
  ///
  /// - Parameters:
  ///   - mean: Δ.
  ///   - model: θ, of as many entries.
  package mutating func apply(_ mean: [Double], to model: inout [Element]) {
    for index in model.indices { model[index] = Element(Double(model[index]) + step(mean[index], at: index)) }
  }

  /// What is added to entry `index`.
  private mutating func step(_ mean: Double, at index: Int) -> Double {
    switch rule {
    case .average: return rate * mean
    case .momentum(let beta):
      memory[0][index] = beta * memory[0][index] + mean
      return rate * memory[0][index]
    case .adagrad(let beta, let tau):
      memory[1][index] += mean * mean
      return adaptive(mean, beta, tau, at: index)
    case .adam(let beta, let beta2, let tau):
      memory[1][index] = beta2 * memory[1][index] + (1 - beta2) * mean * mean
      return adaptive(mean, beta, tau, at: index)
    case .yogi(let beta, let beta2, let tau):
      let square = mean * mean
      let difference = memory[1][index] - square
      let sign: Double = difference > 0 ? 1 : (difference < 0 ? -1 : 0)
      memory[1][index] -= (1 - beta2) * square * sign
      return adaptive(mean, beta, tau, at: index)
    }
  }

  private mutating func adaptive(_ mean: Double, _ beta: Double, _ tau: Double, at index: Int) -> Double {
    memory[0][index] = beta * memory[0][index] + (1 - beta) * mean
    return rate * memory[0][index] / (memory[1][index].squareRoot() + tau)
  }
}
