package import Tensors
package import Architecture

/// What a key of a group leaves of a single record: its length under rotations, its sorted values under permutations, all of it where
/// there is no key.
package struct RecordSignatures: Sendable {
  /// `[n, 1]` squared norms, or `[n, width]`.
  package let values: Tensor<Double>
  /// Whether `values` are norms; then what a key keeps is one number, which noise adds to.
  package let areNorms: Bool

  /// - Parameter vectors: as a key acts on them, homogeneous.
  package init(_ vectors: Tensor<Double>, group: SymmetryGroup, workers: Workers) {
    areNorms = group == .orthogonal
    switch group {
    case .orthogonal: values = Tensor(vectors.squaredNorms, shape: [vectors.rows, 1])
    case .trivial: values = vectors
    case .permutation: values = Self.sorted(vectors, workers: workers) { $0 }
    case .signedPermutation: values = Self.sorted(vectors, workers: workers) { abs($0) }
    }
  }

  private static func sorted(
    _ vectors: Tensor<Double>, workers: Workers, _ value: (Double) -> Double
  ) -> Tensor<Double> {
    let width = vectors.columns
    let rows = vectors.withUnsafeBufferPointer { elements in
      (0..<vectors.rows).flatMap { row in
        elements[row * width..<(row + 1) * width].map(value).sorted()
      }
    }
    return Tensor(rows, shape: vectors.shape)
  }

  /// How far each of these is from each of the other's: the difference of squared norms (other − this), or the distance (never negative).
  /// `[rows, other rows]`.
  package func residuals(to other: RecordSignatures, workers: Workers) -> Tensor<Double> {
    guard areNorms else {
      var distances = values.squaredDistances(to: other.values, workers: workers)
      distances.withUnsafeMutableBufferPointer { elements in
        for index in elements.indices { elements[index] = elements[index].squareRoot() }
      }
      return distances
    }
    var differences = Tensor<Double>(uninitialized: [values.rows, other.values.rows])
    let count = other.values.rows
    differences.withUnsafeMutableBufferPointer { elements in
      for row in 0..<values.rows {
        for column in 0..<count { elements[row * count + column] = other.values[column] - values[row] }
      }
    }
    return differences
  }
}
