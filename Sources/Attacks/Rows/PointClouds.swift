import Tensors

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
  let workers: Workers

  /// How far each point is from the nearest of the other cloud under a turn, squared, seen from both. The attacker's own measure: no plaintext
  /// is in it. Of the first halves of both, which no turn is fitted to: fitted points are always near.
  func distances(under turn: Tensor<Double>) -> [Double] {
    let left = masked.slice(rows: 0..<min(settings.judged, (masked.rows + 1) / 2)).times(turn, workers: workers)
    let right = sample.slice(rows: 0..<min(settings.judged, (sample.rows + 1) / 2))
    let near = Neighbours(of: left, among: right, workers: workers)
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
      let near = Neighbours(of: left.times(turn, workers: workers), among: right, workers: workers)
      // Pairs from both sides: one side alone lets all points fall on a few.
      let forward = left.times(right.selecting(rows: near.forward), transposed: true, workers: workers)
      let backward = left.selecting(rows: near.backward).times(right, transposed: true, workers: workers)
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
    return try SingularValues(of: near).nearestIsometry(tolerance: 0, workers: workers)
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
      let costs = left.times(turn, workers: workers).squaredDistances(to: right, workers: workers)
      // From a tenth of the mean squared distance to a hundredth.
      let sharpness = 0.1 / (1 + 9 * Double(round) / Double(max(1, settings.rounds - 1)))
      let plan = SinkhornPlan.plan(costs: costs, sharpness: sharpness)
      let found = left.times(plan.times(right, workers: workers), transposed: true, workers: workers)
      // Batches are averaged over about the last four.
      cross = cross.scalingRows(by: [Double](repeating: 0.75, count: cross.rows)).adding(found)
      turn = try nearestTurn(cross)
    }
    return turn
  }
}
