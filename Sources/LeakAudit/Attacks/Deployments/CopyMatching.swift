package import Models
package import Numerics

/// What the keys of two copies of one model differ by where the rows come in: x₂' = R x₁' for the same row under both keys.
package struct CopyRelation: Sendable {
  /// R, `[w, w]`: orthogonal where the weights span the space, else a partial isometry, zero on what they do not read.
  package let matrix: Tensor<Double>
  /// Directions that are determined.
  package let rank: Int
  /// ‖L₂ − S P L₁ Rᵀ‖ over ‖L₂‖ of the weights that were matched: rounding for copies of one model, around 1 for others. Whoever matches sees it.
  package let residual: Double
  /// False where −R explains the weights as well.
  package let hasSign: Bool

  init(matrix: Tensor<Double>, rank: Int, residual: Double, hasSign: Bool) {
    self.matrix = matrix
    self.rank = rank
    self.residual = residual
    self.hasSign = hasSign
  }
}

/// Finds the relation of two copies' keys from the masked weights alone: units of a layer whose key only moves them are matched by their inner
/// products, which no other key changes, and what then turns one copy's weights into the other's is R.
///
/// Umeyama 1988 and Ainsworth et al. 2023 for the matching of units, Schönemann 1966 for the rotation. No key is known, and no row.
package struct CopyMatching: Sendable {
  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  /// - Parameters:
  ///   - parameters, groups, input: the model's description and which key each space has, as the host has them.
  ///   - first, second: the copies' weights in the order of `parameters`.
  ///   - deadline: after it matchings are not refined any more.
  /// - Returns: nil where the copies are not of one shape, or no weights lead to a space whose key moves numbers only.
  /// - Throws: `DecompositionError`.
  package func relation<Element: FloatingElement>(
    parameters: [ParameterSpecification], groups: [SpaceID: SymmetryGroup], input: SpaceID,
    from first: [Tensor<Element>], to second: [Tensor<Element>], until deadline: Deadline
  ) throws(DecompositionError) -> CopyRelation? {
    guard first.count == parameters.count, second.count == parameters.count,
      zip(parameters, zip(first, second)).allSatisfy({ $0.shape == $1.0.shape && $0.shape == $1.1.shape })
    else { return nil }
    let anchors = CopyAnchors(
      parameters: parameters, groups: groups, first: first, second: second, compute: compute
    ).anchors(of: input)
    var pairs: [Pair] = []
    for anchor in anchors {
      if let matching = UnitMatching(anchor, compute: compute) { pairs.append((anchor, matching)) }
    }
    guard let width = pairs.first?.anchor.legs.first?.first.columns, width > 0 else { return nil }
    // What rounding to the format leaves of a direction that no weight reads, with room to spare.
    let tolerance = 1000 * Double(Element.ulpOfOne)
    let group = groups[input] ?? .orthogonal
    // Units with signs leave one sign of their own open: those of all anchors have to be the same.
    guard let reference = pairs.first(where: { $0.anchor.group < .signedPermutation }) ?? pairs.first else {
      return nil
    }
    var best = try fit([reference], group, tolerance)
    if reference.anchor.group == .signedPermutation, group < .signedPermutation {
      // A key that turns no signs explains the weights with one of the two alone.
      let turned = (anchor: reference.anchor, matching: reference.matching.negated)
      let other = try fit([turned], group, tolerance)
      if other.residual < best.residual {
        best = other
        if pairs.count == 1 { pairs = [turned] }
      }
    }
    if pairs.count > 1 {
      pairs = refined(pairs, by: best)
      best = try fit(pairs, group, tolerance)
    }
    for _ in 0..<Self.refinements {
      let closer = refined(pairs, by: best)
      if zip(closer, pairs).allSatisfy({ $0.matching == $1.matching }) || deadline.hasPassed { break }
      let next = try fit(closer, group, tolerance)
      guard next.residual < best.residual else { break }
      (pairs, best) = (closer, next)
    }
    return best
  }

  private static let refinements = 4

  private typealias Pair = (anchor: CopyAnchor, matching: UnitMatching)

  private func refined(_ pairs: [Pair], by relation: CopyRelation) -> [Pair] {
    pairs.map { ($0.anchor, $0.matching.refined($0.anchor, relation: relation.matrix, compute: compute)) }
  }

  /// R for given matchings.
  private func fit(
    _ pairs: [Pair], _ group: SymmetryGroup, _ tolerance: Double
  ) throws(DecompositionError) -> CopyRelation {
    let hasSign = group < .signedPermutation || !pairs.allSatisfy { $0.anchor.group == .signedPermutation }
    let width = pairs.first?.anchor.legs.first?.first.columns ?? 0
    var (first, second): ([Double], [Double]) = ([], [])
    for (anchor, matching) in pairs {
      for leg in anchor.legs {
        first += leg.first.elements
        second += matching.aligned(leg.second).elements
      }
    }
    let (one, other) = (
      Tensor(first, shape: [first.count / width, width]), Tensor(second, shape: [second.count / width, width])
    )
    var rank = width
    let matrix: Tensor<Double>
    switch group {
    case .trivial: matrix = KeyRefinement.key(Array(0..<width))
    case .permutation, .signedPermutation:
      matrix = columnMatching(one, other, isSigned: group == .signedPermutation)
    case .orthogonal: (matrix, rank) = try rotation(one, other, tolerance)
    }
    let predicted = one.times(matrix, otherTransposed: true, compute: compute)
    let residual = predicted.squaredDistance(to: other) / max(other.sumOfSquares, .leastNormalMagnitude)
    return CopyRelation(matrix: matrix, rank: rank, residual: residual.squareRoot(), hasSign: hasSign)
  }

  /// The nearest isometry to L₂ᵀ U = R V S, U S Vᵀ = L₁, over the directions that L₁ reads: an error of L₂ counts once over S, where that of L₂ᵀ L₁
  /// would count over S².
  private func rotation(
    _ first: Tensor<Double>, _ second: Tensor<Double>, _ tolerance: Double
  ) throws(DecompositionError) -> (Tensor<Double>, rank: Int) {
    let parts = try SingularValues(of: first)
    let rank = parts.values.prefix { $0 > tolerance * (parts.values.first ?? 0) }.count
    guard rank > 0 else { return (Tensor(zeros: [first.columns, first.columns]), 0) }
    let turned = second.times(parts.left.firstColumns(rank), transposed: true, compute: compute)
    let isometry = try SingularValues(of: turned).nearestIsometry(tolerance: 0, compute: compute)
    return (isometry.times(parts.right.slice(rows: 0..<rank), compute: compute), rank)
  }

  /// Columns are moved whole, so that each is found by itself, however few units there are.
  private func columnMatching(
    _ first: Tensor<Double>, _ second: Tensor<Double>, isSigned: Bool
  ) -> Tensor<Double> {
    NearestMatching(
      products: second.times(first, transposed: true, compute: compute), squares: first.transposed.squaredNorms,
      isSigned: isSigned
    ).key
  }
}
