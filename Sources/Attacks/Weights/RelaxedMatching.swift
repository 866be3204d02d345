import Tensors

/// Matches the nodes of two weighted graphs: the permutation P with the largest tr(Cᵀ P L Pᵀ) + tr(Sᵀ P), or a good one.
///
/// Frank and Wolfe's method over doubly stochastic P, rounded at the end: Vogelstein et al., "Fast approximate quadratic programming for graph
/// matching", PLoS ONE 10, 2015. Between permutations it passes local maxima that exchanges of two nodes do not leave.
struct RelaxedMatching: Sendable {
  /// `[k, k]`: edges of the first graph, of the second, and scores of single nodes.
  let first: Tensor<Double>
  let second: Tensor<Double>
  let single: Tensor<Double>
  let workers: Workers
  var steps = 40

  /// - Parameter start: what is half of the first P; the other half says nothing.
  func match(from start: [Int], until deadline: Deadline) -> [Int] {
    let size = first.rows
    guard size > 1 else { return start }
    var matching = Tensor<Double>(repeating: 0.5 / Double(size), shape: [size, size])
    for (row, column) in start.enumerated() { matching[row, column] += 0.5 }
    var slope = slope(matching)
    for _ in 0..<steps where !deadline.hasPassed {
      var gradient = slope
      gradient.add(single, scaled: 1)
      var direction = KeyRefinement.key(KeyRefinement.assignment(gradient))
      let target = self.slope(direction)
      direction.add(matching, scaled: -1)
      let gain = gradient.product(direction)
      guard gain > 1e-9 * abs(gradient.product(matching)) else { break }
      var bend = target
      bend.add(slope, scaled: -1)
      let curvature = bend.product(direction) / 2
      let length = curvature < 0 ? min(1, -gain / (2 * curvature)) : 1
      matching.add(direction, scaled: length)
      slope.add(bend, scaled: length)
    }
    return KeyRefinement.assignment(matching)
  }

  /// C P Lᵀ + Cᵀ P L.
  private func slope(_ matching: Tensor<Double>) -> Tensor<Double> {
    var result = first.times(matching.times(second, otherTransposed: true, workers: workers), workers: workers)
    result.add(
      first.times(matching.times(second, workers: workers), transposed: true, workers: workers), scaled: 1)
    return result
  }
}
