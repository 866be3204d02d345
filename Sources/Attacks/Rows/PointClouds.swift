import Tensors

/// Two sets of points that a turn is to bring together: masked rows and public rows, each along its own principal components.
///
/// Iterative closest points after Wasserstein–Procrustes (Grave, Joulin and Berthet, AISTATS 2019, algorithm 1): soft matchings of batches,
/// each followed by orthogonal Procrustes, then nearest neighbours among all points.
struct PointClouds: Sendable {
  struct Settings: Sendable {
    var batch = 256
    var rounds = 40
    var neighbourRounds = 10
    var judged = 1024
  }

  /// `[n, q]` and `[s, q]`, about their means.
  let masked: Tensor<Double>
  let sample: Tensor<Double>
  let settings: Settings
  let workers: Workers

  /// How far the clouds are apart under a turn, seen from both: the mean squared distance to the nearest point of the other. The attacker's
  /// own measure: no plaintext is in it.
  func distance(under turn: Tensor<Double>) -> Double {
    let left = masked.slice(rows: 0..<min(settings.judged, masked.rows)).times(turn, workers: workers)
    let right = sample.slice(rows: 0..<min(settings.judged, sample.rows))
    let near = Neighbours(of: left, among: right, workers: workers)
    return near.forwardMean + near.backwardMean
  }

  /// The turn of least `distance` among `start` and what the iterations make of it.
  ///
  /// - Throws: `DecompositionError`.
  func refined(
    from start: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Tensor<Double> {
    var best = (turn: start, distance: distance(under: start))
    func consider(_ turn: Tensor<Double>) {
      let found = distance(under: turn)
      if found < best.distance { best = (turn, found) }
    }
    consider(try softly(from: start, random: &random, until: deadline))
    var turn = best.turn
    for _ in 0..<settings.neighbourRounds {
      if deadline.hasPassed { break }
      let left = masked.slice(rows: 0..<min(4 * settings.judged, masked.rows))
      let right = sample.slice(rows: 0..<min(4 * settings.judged, sample.rows))
      let near = Neighbours(of: left.times(turn, workers: workers), among: right, workers: workers)
      // Pairs from both sides: one side alone lets all points fall on a few.
      let forward = left.times(right.selecting(rows: near.forward), transposed: true, workers: workers)
      let backward = left.selecting(rows: near.backward).times(right, transposed: true, workers: workers)
      let next = try SingularValues(of: forward.adding(backward)).nearestIsometry(tolerance: 0, workers: workers)
      let change = next.squaredDistance(to: turn)
      turn = next
      if change < 1e-12 * Double(turn.rows) { break }
    }
    consider(turn)
    return best.turn
  }

  private func softly(
    from start: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Tensor<Double> {
    var turn = start
    var cross = Tensor<Double>(zeros: start.shape)
    let batch = min(settings.batch, masked.rows, sample.rows)
    for round in 0..<settings.rounds {
      if deadline.hasPassed { break }
      let left = masked.selecting(rows: (0..<masked.rows).shuffled(using: &random).prefix(batch))
      let right = sample.selecting(rows: (0..<sample.rows).shuffled(using: &random).prefix(batch))
      let costs = Neighbours.squaredDistances(left.times(turn, workers: workers), right, workers: workers)
      // From a tenth of the mean squared distance to a hundredth.
      let sharpness = 0.1 / (1 + 9 * Double(round) / Double(max(1, settings.rounds - 1)))
      let plan = SinkhornPlan.plan(costs: costs, sharpness: sharpness)
      let found = left.times(plan.times(right, workers: workers), transposed: true, workers: workers)
      // Batches are averaged over about the last four.
      cross = cross.scalingRows(by: [Double](repeating: 0.75, count: cross.rows)).adding(found)
      turn = try SingularValues(of: cross).nearestIsometry(tolerance: 0, workers: workers)
    }
    return turn
  }
}
