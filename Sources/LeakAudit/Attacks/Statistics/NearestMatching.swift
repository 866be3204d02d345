import Numerics

/// Matches points one to one with the smallest sum of squared distances, from their products: of |a − b|² = |a|² − 2 a·b + |b|² the first is the same
/// whatever a is matched with.
struct NearestMatching: Equatable {
  /// For each a its b.
  let columns: [Int]
  /// ±1 for each a; all 1 where points have no sign.
  let signs: [Double]

  /// - Parameters:
  ///   - products: a·b, `[n, n]`.
  ///   - squares: |b|², n.
  ///   - isSigned: whether a may be matched with −b as well.
  init(products: Tensor<Double>, squares: [Double], isSigned: Bool = false) {
    var scores = products
    scores.withUnsafeMutableBufferPointer { scores in
      for row in 0..<(squares.isEmpty ? 0 : scores.count / squares.count) {
        for (column, square) in squares.enumerated() {
          let entry = row * squares.count + column
          scores[entry] = (isSigned ? abs(scores[entry]) : scores[entry]) - square / 2
        }
      }
    }
    columns = KeyRefinement.assignment(scores)
    signs = columns.enumerated().map { isSigned && products[$0.offset, $0.element] < 0 ? -1 : 1 }
  }

  /// K of x'_i = ±x_j, j what i is matched with.
  var key: Tensor<Double> {
    var key = KeyRefinement.key(columns)
    for (row, column) in columns.enumerated() { key[row, column] = signs[row] }
    return key
  }
}
