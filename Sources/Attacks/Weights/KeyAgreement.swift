import Tensors

/// How well a key explains the invariants, F(Q) = Σ tr(M'ᵀ Q M Qᵀ) + Σ v'ᵀ Q v, and the way uphill.
///
/// Each term is at most 1 and is 1 for the key itself.
struct KeyAgreement: Sendable {
  let invariants: ResidualInvariants
  let workers: Workers

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
      let right = key.times(matrix.base, otherTransposed: true, workers: workers)
      let first = matrix.masked.times(right, workers: workers)
      if matrix.isSymmetric {
        gradient.add(first, scaled: 2)
        continue
      }
      gradient.add(first, scaled: 1)
      let left = key.times(matrix.base, workers: workers)
      gradient.add(matrix.masked.times(left, transposed: true, workers: workers), scaled: 1)
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
