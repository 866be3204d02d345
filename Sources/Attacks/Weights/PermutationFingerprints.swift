import Tensors

/// Finds a permutation from what it does to the coordinates one by one: each has a fingerprint of its entries in vectors of the space
/// and on the diagonals of products, that other keys do not change.
///
/// A matching of coordinates by weights, as a linear assignment: Ainsworth, Hayase and Srinivasa, Git Re-Basin, ICLR 2023, section 3.2.
struct PermutationFingerprints: Sendable {
  /// `[d, features]`, features scaled by the base's spread.
  private let masked: Tensor<Double>
  private let base: Tensor<Double>

  init(_ invariants: ResidualInvariants) {
    var features: [(masked: [Double], base: [Double])] = []
    for vector in invariants.vectors + invariants.diagonals where vector.base.count == invariants.width {
      let mean = vector.base.reduce(0, +) / Double(vector.base.count)
      let spread = (vector.base.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(vector.base.count)).squareRoot()
      // All the same but for rounding: it tells no coordinate from another.
      guard spread > 1e-5 * abs(mean), spread.isFinite else { continue }
      features.append((vector.masked.map { ($0 - mean) / spread }, vector.base.map { ($0 - mean) / spread }))
    }
    let width = invariants.width
    var (mine, theirs) = (
      Tensor<Double>(zeros: [width, features.count]), Tensor<Double>(zeros: [width, features.count])
    )
    for (column, feature) in features.enumerated() {
      for row in 0..<width {
        mine[row, column] = feature.masked[row]
        theirs[row, column] = feature.base[row]
      }
    }
    (masked, base) = (mine, theirs)
  }

  /// For each masked coordinate the plain one with the nearest fingerprint; where that is not one to one, the matching with the smallest
  /// sum of squared distances.
  func match(workers: Workers) -> [Int] {
    let width = masked.rows
    guard masked.columns > 0 else { return Array(0..<width) }
    var scores = masked.times(base, otherTransposed: true, workers: workers)
    let squares = (0..<width).map { row in (0..<base.columns).reduce(0) { $0 + base[row, $1] * base[row, $1] } }
    scores.withUnsafeMutableBufferPointer { scores in
      for row in 0..<width {
        for column in 0..<width { scores[row * width + column] -= squares[column] / 2 }
      }
    }
    return KeyRefinement.assignment(scores)
  }
}
