import Numerics

/// Climbs from a key to one that explains the invariants better, within a group.
///
/// The step is to the group's element nearest to the gradient: the generalised power method (Journée, Nesterov, Richtárik and Sepulchre,
/// J. Mach. Learn. Res. 11, 2010) for rotations, where that is the gradient's polar factor; a linear assignment for permutations
/// (Vogelstein et al., Fast approximate quadratic programming, PLoS ONE 10, 2015).
struct KeyRefinement: Sendable {
  let agreement: KeyAgreement
  let compute: Compute
  /// At most so many steps.
  var steps = 30

  /// - Throws: `DecompositionError`.
  func refinedRotation(
    _ start: Tensor<Double>, until deadline: Deadline
  ) throws(DecompositionError) -> (key: Tensor<Double>, mean: Double) {
    var (key, value) = (start, agreement.value(start))
    // F is not convex: a share of the key itself added to the gradient keeps a step from overshooting.
    var damping = 0.0
    for _ in 0..<steps where !deadline.hasPassed {
      var direction = value.gradient
      direction.add(key, scaled: damping)
      let next = try SingularValues(of: direction).nearestIsometry(tolerance: 0, compute: compute)
      let reached = agreement.value(next)
      guard reached.total >= value.total - 1e-12 * abs(value.total) else {
        damping = max(0.25 * value.gradient.product(key) / Double(key.rows), 2 * damping)
        continue
      }
      var change = next
      change.add(key, scaled: -1)
      (key, value) = (next, reached)
      if change.product(change) < 1e-12 * Double(key.rows) { break }
    }
    return (key, agreement.mean(value))
  }

  func refinedPermutation(_ start: [Int], until deadline: Deadline) -> (matching: [Int], mean: Double) {
    var (matching, value) = (start, agreement.value(Self.key(start)))
    for _ in 0..<steps where !deadline.hasPassed {
      let next = Self.assignment(value.gradient)
      if next == matching { break }
      let reached = agreement.value(Self.key(next))
      // The gradient cannot tell equal matchings apart to the last bit.
      guard reached.total > value.total + 1e-9 * abs(value.total) else { break }
      (matching, value) = (next, reached)
    }
    return (matching, agreement.mean(value))
  }

  /// K of x'_i = x_j, j the entry of `matching` for i.
  static func key(_ matching: [Int]) -> Tensor<Double> {
    var key = Tensor<Double>(zeros: [matching.count, matching.count])
    for (row, column) in matching.enumerated() { key[row, column] = 1 }
    return key
  }

  /// Each row's largest entry where those are one to one, else the best assignment.
  static func assignment(_ scores: Tensor<Double>) -> [Int] {
    let width = scores.columns
    let best = scores.withUnsafeBufferPointer { scores in
      (0..<(width == 0 ? 0 : scores.count / width)).map { row in
        var best = 0
        for column in 1..<max(1, width) where scores[row * width + column] > scores[row * width + best] {
          best = column
        }
        return best
      }
    }
    if Set(best).count == best.count { return best }
    // Differences beyond a double's precision would let the search run in circles.
    guard scores.allFinite else { return Array(best.indices) }
    return LinearAssignment.maximum(scores)
  }
}

/// How well a key explains the invariants, F(Q) = Σ tr(M'ᵀ Q M Qᵀ) + Σ v'ᵀ Q v, and the way uphill.
///
/// Each term is at most 1 and is 1 for the key itself.
struct KeyAgreement: Sendable {
  let invariants: ResidualInvariants
  let compute: Compute

  struct Value: Sendable {
    let matrices: Double
    let vectors: Double
    /// ∂F/∂Q, `[d, d]`.
    let gradient: Tensor<Double>

    var total: Double { matrices + vectors }
  }

  /// Mean of the terms: 1 for the key, around 0 for another. 0 where there is no invariant.
  func mean(_ value: Value) -> Double {
    let count = invariants.matrices.count + invariants.vectors.count
    return count == 0 ? 0 : value.total / Double(count)
  }

  func value(_ key: Tensor<Double>) -> Value {
    let width = key.rows
    var gradient = Tensor<Double>(zeros: [width, width])
    for matrix in invariants.matrices {
      let right = key.times(matrix.base, otherTransposed: true, compute: compute)
      let first = matrix.masked.times(right, compute: compute)
      if matrix.isSymmetric {
        gradient.add(first, scaled: 2)
        continue
      }
      gradient.add(first, scaled: 1)
      let left = key.times(matrix.base, compute: compute)
      gradient.add(matrix.masked.times(left, transposed: true, compute: compute), scaled: 1)
    }
    let matrices = gradient.product(key) / 2
    var vectors = 0.0
    for vector in invariants.vectors {
      let image = Self.image(key, vector.base)
      for (row, entry) in vector.masked.enumerated() { vectors += entry * image[row] }
      gradient.withUnsafeMutableBufferPointer { entries in
        for (row, entry) in vector.masked.enumerated() {
          for column in 0..<width { entries[row * width + column] += entry * vector.base[column] }
        }
      }
    }
    return Value(matrices: matrices, vectors: vectors, gradient: gradient)
  }

  /// Σ v'ᵀ Q v: below zero where −Q is the better key.
  func vectors(_ key: Tensor<Double>) -> Double {
    var sum = 0.0
    for vector in invariants.vectors {
      let image = Self.image(key, vector.base)
      for (row, entry) in vector.masked.enumerated() { sum += entry * image[row] }
    }
    return sum
  }

  private static func image(_ key: Tensor<Double>, _ vector: [Double]) -> [Double] {
    let width = key.columns
    return key.withUnsafeBufferPointer { entries in
      (0..<key.rows).map { row in
        var sum = 0.0
        for column in 0..<width { sum += entries[row * width + column] * vector[column] }
        return sum
      }
    }
  }
}

extension Tensor<Double> {
  /// Σ of the products of entries.
  func product(_ other: Tensor<Double>) -> Double {
    withUnsafeBufferPointer { left in
      other.withUnsafeBufferPointer { right in
        var sum = 0.0
        for index in left.indices { sum += left[index] * right[index] }
        return sum
      }
    }
  }
}
