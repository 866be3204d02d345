import Foundation
import Numerics

/// Two sets of points that a turn is to bring together: masked rows and public rows, each along its own principal components.
///
/// Iterative closest points after Wasserstein–Procrustes (Grave, Joulin and Berthet, AISTATS 2019, algorithm 1): soft matchings of batches,
/// each followed by orthogonal Procrustes, then nearest neighbours among all points.
struct PointClouds: Sendable {
  struct Settings: Sendable {
    var batch = 256
    var rounds = 40
    var judged = 1024
  }

  private static let neighbourRounds = 10

  /// `[n, q]` and `[s, q]`, about their means.
  let masked: Tensor<Double>
  let sample: Tensor<Double>
  let settings: Settings
  let compute: Compute

  /// How far each point is from the nearest of the other cloud under a turn, squared, seen from both. The attacker's own measure: no plaintext
  /// is in it. Of the first halves of both, which no turn is fitted to: fitted points are always near.
  func distances(under turn: Tensor<Double>) -> [Double] {
    let left = masked.slice(rows: 0..<min(settings.judged, (masked.rows + 1) / 2)).times(turn, compute: compute)
    let right = sample.slice(rows: 0..<min(settings.judged, (sample.rows + 1) / 2))
    let near = Neighbours(of: left, among: right, compute: compute)
    return near.forwardDistances + near.backwardDistances
  }

  /// Whether `distances` are smaller than `others`, point by point, by more than three standard deviations of chance.
  static func areCloser(_ distances: [Double], than others: [Double]) -> Bool {
    let gains = zip(others, distances).map { $0 - $1 }
    let count = Double(max(1, gains.count))
    let mean = gains.reduce(0, +) / count
    let variance = gains.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    return mean > 3 * (variance / count).squareRoot()
  }

  /// `start`, or what the iterations make of it where that brings the clouds closer.
  ///
  /// - Throws: `DecompositionError`.
  func refined(
    from start: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Tensor<Double> {
    var best = (turn: start, distances: distances(under: start))
    func consider(_ turn: Tensor<Double>) {
      let found = distances(under: turn)
      if Self.areCloser(found, than: best.distances) { best = (turn, found) }
    }
    consider(try softly(from: start, random: &random, until: deadline))
    var turn = best.turn
    for _ in 0..<Self.neighbourRounds {
      if deadline.hasPassed { break }
      let left = masked.slice(rows: fitted(masked))
      let right = sample.slice(rows: fitted(sample))
      let near = Neighbours(of: left.times(turn, compute: compute), among: right, compute: compute)
      // Pairs from both sides: one side alone lets all points fall on a few.
      let forward = left.times(right.selecting(rows: near.forward), transposed: true, compute: compute)
      let backward = left.selecting(rows: near.backward).times(right, transposed: true, compute: compute)
      let next = try nearestTurn(forward.adding(backward))
      let change = next.squaredDistance(to: turn)
      turn = next
      if change < 1e-12 * Double(turn.rows) { break }
    }
    consider(turn)
    return best.turn
  }

  /// Orthogonal Procrustes among components of like variance alone: those further apart than by half have been told apart by their variance,
  /// far better than neighbours do, to whom a small component is nothing beside a large one.
  private func nearestTurn(_ cross: Tensor<Double>) throws -> Tensor<Double> {
    let (left, right) = (Self.variances(masked), Self.variances(sample))
    var near = cross
    for row in left.indices {
      for column in right.indices
      where max(left[row], right[column]) > 1.5 * min(left[row], right[column]) && row != column {
        near[row, column] = 0
      }
    }
    return try SingularValues(of: near).nearestIsometry(tolerance: 0, compute: compute)
  }

  private static func variances(_ cloud: Tensor<Double>) -> [Double] {
    cloud.transposed.squaredNorms.map { $0 / Double(max(1, cloud.rows)) }
  }

  private func fitted(_ cloud: Tensor<Double>) -> Range<Int> {
    let first = cloud.rows / 2
    return first..<min(cloud.rows, first + 4 * settings.judged)
  }

  private func softly(
    from start: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Tensor<Double> {
    var turn = start
    var cross = Tensor<Double>(zeros: start.shape)
    let batch = min(settings.batch, fitted(masked).count, fitted(sample).count)
    for round in 0..<settings.rounds {
      if deadline.hasPassed { break }
      let left = masked.selecting(rows: fitted(masked).shuffled(using: &random).prefix(batch))
      let right = sample.selecting(rows: fitted(sample).shuffled(using: &random).prefix(batch))
      let costs = left.times(turn, compute: compute).squaredDistances(to: right, compute: compute)
      // From a tenth of the mean squared distance to a hundredth.
      let sharpness = 0.1 / (1 + 9 * Double(round) / Double(max(1, settings.rounds - 1)))
      let plan = SinkhornPlan.plan(costs: costs, sharpness: sharpness)
      let found = left.times(plan.times(right, compute: compute), transposed: true, compute: compute)
      // Batches are averaged over about the last four.
      cross = cross.scalingRows(by: [Double](repeating: 0.75, count: cross.rows)).adding(found)
      turn = try nearestTurn(cross)
    }
    return turn
  }
}

/// The nearest point of another set for every point of two sets, each way.
struct Neighbours {
  /// Of each left point the nearest right one.
  let forward: [Int]
  /// Of each right point the nearest left one.
  let backward: [Int]
  /// Squared distances to them.
  let forwardDistances: [Double]
  let backwardDistances: [Double]

  /// - Parameters:
  ///   - left, right: `[n, q]` and `[s, q]`, at least one each.
  init(of left: Tensor<Double>, among right: Tensor<Double>, compute: Compute) {
    let distances = left.squaredDistances(to: right, compute: compute)
    let (rows, columns) = (left.rows, right.rows)
    var forwardBest = [Double](repeating: .infinity, count: rows)
    var backwardBest = [Double](repeating: .infinity, count: columns)
    var forward = [Int](repeating: 0, count: rows)
    var backward = [Int](repeating: 0, count: columns)
    distances.withUnsafeBufferPointer { distance in
      for row in 0..<rows {
        for column in 0..<columns {
          let value = distance[row * columns + column]
          if value < forwardBest[row] {
            forwardBest[row] = value
            forward[row] = column
          }
          if value < backwardBest[column] {
            backwardBest[column] = value
            backward[column] = row
          }
        }
      }
    }
    self.forward = forward
    self.backward = backward
    forwardDistances = forwardBest
    backwardDistances = backwardBest
  }
}

/// Soft one-to-one matchings: optimal transport between two batches of equal weight, blurred by entropy (Cuturi, NeurIPS 2013, algorithm 1).
enum SinkhornPlan {
  /// `[n, n]`: how much of each left point goes to each right one; rows and columns sum to 1 / n, columns exactly.
  ///
  /// - Parameters:
  ///   - costs: `[n, n]`, at least 0.
  ///   - sharpness: blur relative to the mean cost.
  static func plan(costs: Tensor<Double>, sharpness: Double, iterations: Int = 30) -> Tensor<Double> {
    let n = costs.rows
    let mean = costs.withUnsafeBufferPointer { $0.reduce(0, +) } / Double(max(1, costs.count))
    guard mean > 0 else { return Tensor(repeating: 1 / Double(n * n), shape: [n, n]) }
    let scale = -1 / (sharpness * mean)
    var kernel = costs
    var left = [Double](repeating: 1, count: n)
    var right = [Double](repeating: 1, count: n)
    // An outlier's whole row would round to 0.
    let least = Double.leastNormalMagnitude
    let share = 1 / Double(n)
    kernel.withUnsafeMutableBufferPointer { k in
      for row in 0..<n {
        var nearest = Double.infinity
        for index in row * n..<(row + 1) * n { nearest = min(nearest, k[index]) }
        // A factor of the whole row, which the plan does not depend on.
        for index in row * n..<(row + 1) * n { k[index] = exp(scale * (k[index] - nearest)) }
      }
      for _ in 0..<iterations {
        for row in 0..<n {
          var sum = 0.0
          for column in 0..<n { sum += k[row * n + column] * right[column] }
          left[row] = share / max(sum, least)
        }
        var sums = [Double](repeating: 0, count: n)
        for row in 0..<n {
          for column in 0..<n { sums[column] += k[row * n + column] * left[row] }
        }
        for column in 0..<n { right[column] = share / max(sums[column], least) }
      }
      for row in 0..<n {
        for column in 0..<n { k[row * n + column] *= left[row] * right[column] }
      }
    }
    return kernel
  }
}
