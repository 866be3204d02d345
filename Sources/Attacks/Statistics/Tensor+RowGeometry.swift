package import Tensors

extension Tensor {
  /// These rows in this order, copied.
  package func selecting(rows numbers: some Collection<Int>) -> Tensor {
    var result = Tensor(uninitialized: [numbers.count, columns])
    let width = columns
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        for (row, number) in numbers.enumerated() {
          for column in 0..<width { target[row * width + column] = source[number * width + column] }
        }
      }
    }
    return result
  }
}

extension Tensor<Double> {
  /// ‖row‖² of each row.
  package var squaredNorms: [Double] {
    let width = columns
    return withUnsafeBufferPointer { elements in
      (0..<rows).map { row in
        var sum = 0.0
        for column in 0..<width { sum += elements[row * width + column] * elements[row * width + column] }
        return sum
      }
    }
  }

  /// ‖a − b‖² of every row a of this and b of the other, at least 0: `[rows, other.rows]`.
  package func squaredDistances(to other: Tensor<Double>, workers: Workers) -> Tensor<Double> {
    let (norms, otherNorms) = (squaredNorms, other.squaredNorms)
    var result = times(other, otherTransposed: true, workers: workers)
    let count = other.rows
    result.withUnsafeMutableBufferPointer { elements in
      for row in norms.indices {
        for column in 0..<count {
          elements[row * count + column] = Swift.max(
            0, norms[row] + otherNorms[column] - 2 * elements[row * count + column])
        }
      }
    }
    return result
  }
}
