import Foundation
import JobSpec

/// A federation as its formulas say it, in loops over single numbers in double precision: perceptrons of three features, tanh units and one output,
/// squared error, plain SGD of rate 0.05, and the strategy's rule. No code of the product's but the charter's words.
struct PlainRounds {
  static let rate = 0.05
  static let features = 3

  let units: Int
  let strategy: StrategyDescription
  /// w_k.
  let weights: [Double]
  /// [W | b] unit after unit, then the output's weights, then its bias.
  private(set) var model: [Double]
  private var momentum: [Double]
  private var squares: [Double]
  private var control: [Double]
  private var siteControls: [[Double]]

  init(units: Int, strategy: StrategyDescription, weights: [Double], start: [Double]) {
    self.units = units
    self.strategy = strategy
    self.weights = weights
    model = start
    momentum = start.map { _ in 0 }
    squares = start.map { _ in strategy.tau * strategy.tau }
    control = momentum
    siteControls = weights.map { _ in start.map { _ in 0 } }
  }

  /// ∂ of the mean of (o − t)² over rows.
  private func gradient(_ model: [Double], _ rows: [(features: [Double], target: Double)]) -> [Double] {
    let stride = Self.features + 1
    let output = units * stride
    var sum = model.map { _ in 0.0 }
    for row in rows {
      let input = row.features + [1]
      var activations: [Double] = []
      for unit in 0..<units {
        var value = 0.0
        for column in 0..<stride { value += model[unit * stride + column] * input[column] }
        activations.append(tanh(value))
      }
      var prediction = model[output + units]
      for unit in 0..<units { prediction += model[output + unit] * activations[unit] }
      let slope = 2 * (prediction - row.target) / Double(rows.count)
      for unit in 0..<units {
        let inner = slope * model[output + unit] * (1 - activations[unit] * activations[unit])
        for column in 0..<stride { sum[unit * stride + column] += inner * input[column] }
        sum[output + unit] += slope * activations[unit]
      }
      sum[output + units] += slope
    }
    return sum
  }

  /// - Parameter batches: of each site, of each of its local steps: rows with their targets.
  mutating func round(_ batches: [[[(features: [Double], target: Double)]]]) {
    var mean = model.map { _ in 0.0 }
    var controlSum = mean
    for (site, steps) in batches.enumerated() {
      var local = model
      for rows in steps {
        let slopes = gradient(local, rows)
        for place in local.indices {
          let pull = strategy.mu * (local[place] - model[place])
          let shift = strategy.kind == .scaffold ? control[place] - siteControls[site][place] : 0
          local[place] -= Self.rate * (slopes[place] + pull + shift)
        }
      }
      for place in model.indices {
        mean[place] += weights[site] * (local[place] - model[place])
        guard strategy.kind == .scaffold else { continue }
        // Karimireddy et al., 2020, option II.
        let moved = (model[place] - local[place]) / (Double(steps.count) * Self.rate)
        controlSum[place] += moved - control[place]
        siteControls[site][place] += moved - control[place]
      }
    }
    for place in model.indices {
      advance(place, by: mean[place] / weights.reduce(0, +))
      control[place] += controlSum[place] / Double(weights.count)
    }
  }

  private mutating func advance(_ place: Int, by mean: Double) {
    let rate = strategy.serverLearningRate
    let square = mean * mean
    switch strategy.kind {
    case .fedavg, .fedprox, .scaffold:
      model[place] += rate * mean
      return
    case .fedavgm:
      momentum[place] = strategy.beta1 * momentum[place] + mean
      model[place] += rate * momentum[place]
      return
    case .fedadagrad: squares[place] += square
    case .fedadam: squares[place] = strategy.beta2 * squares[place] + (1 - strategy.beta2) * square
    case .fedyogi:
      let before = squares[place]
      if before > square { squares[place] = before - (1 - strategy.beta2) * square }
      if before < square { squares[place] = before + (1 - strategy.beta2) * square }
    }
    momentum[place] = strategy.beta1 * momentum[place] + (1 - strategy.beta1) * mean
    model[place] += rate * momentum[place] / (squares[place].squareRoot() + strategy.tau)
  }
}
