package import Numerics

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
  package func squaredDistances(to other: Tensor<Double>, compute: Compute) -> Tensor<Double> {
    let (norms, otherNorms) = (squaredNorms, other.squaredNorms)
    var result = times(other, otherTransposed: true, compute: compute)
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

extension Tensor where Element == Double {
  /// The mean of each column; zeros where there are no rows.
  var columnMeans: [Double] {
    var sums = [Double](repeating: 0, count: columns)
    let (rows, columns) = (rows, columns)
    withUnsafeBufferPointer { elements in
      for row in 0..<rows {
        for column in 0..<columns { sums[column] += elements[row * columns + column] }
      }
    }
    let scale = 1 / Double(max(1, rows))
    return sums.map { $0 * scale }
  }

  /// The same less `vector` in every row.
  func subtracting(_ vector: [Double]) -> Tensor { adding(vector, scaled: -1) }

  /// The same with `scale` times `vector` added to every row.
  func adding(_ vector: [Double], scaled scale: Double = 1) -> Tensor {
    var result = self
    let (rows, columns) = (rows, columns)
    result.withUnsafeMutableBufferPointer { elements in
      for row in 0..<rows {
        for column in 0..<columns { elements[row * columns + column] += scale * vector[column] }
      }
    }
    return result
  }

  /// self += scale · other, of one shape.
  mutating func add(_ other: Tensor, scaled scale: Double) {
    withUnsafeMutableBufferPointer { target in
      other.withUnsafeBufferPointer { source in
        for index in target.indices { target[index] += scale * source[index] }
      }
    }
  }

  /// The sum with `scale` times a matrix of the same shape.
  func adding(_ other: Tensor, scaled scale: Double = 1) -> Tensor {
    var result = self
    result.add(other, scaled: scale)
    return result
  }

  /// The columns of these matrices one beside the other; of as many rows each.
  static func beside(_ matrices: [Tensor], rows: Int) -> Tensor {
    let width = matrices.reduce(0) { $0 + $1.columns }
    var result = Tensor(uninitialized: [rows, width])
    var first = 0
    result.withUnsafeMutableBufferPointer { target in
      for matrix in matrices {
        let columns = matrix.columns
        matrix.withUnsafeBufferPointer { source in
          for index in source.indices { target[index / columns * width + first + index % columns] = source[index] }
        }
        first += columns
      }
    }
    return result
  }

  /// These rows, then those of `other`.
  func followed(by other: Tensor) -> Tensor {
    Tensor(elements + other.elements, shape: [rows + other.rows, columns])
  }

  /// Row i times `factors[i]`.
  func scalingRows(by factors: [Double]) -> Tensor {
    var result = self
    let columns = columns
    result.withUnsafeMutableBufferPointer { elements in
      for (row, factor) in factors.enumerated() {
        for column in 0..<columns { elements[row * columns + column] *= factor }
      }
    }
    return result
  }

  /// Column j times `factors[j]`.
  func scalingColumns(by factors: [Double]) -> Tensor {
    var result = self
    let (rows, columns) = (rows, columns)
    result.withUnsafeMutableBufferPointer { elements in
      for row in 0..<rows {
        for column in 0..<columns { elements[row * columns + column] *= factors[column] }
      }
    }
    return result
  }

  /// Σ (a − b)² over all elements.
  func squaredDistance(to other: Tensor) -> Double {
    withUnsafeBufferPointer { a in
      other.withUnsafeBufferPointer { b in
        var sum = 0.0
        for index in a.indices { sum += (a[index] - b[index]) * (a[index] - b[index]) }
        return sum
      }
    }
  }

  /// Σ a².
  var sumOfSquares: Double {
    withUnsafeBufferPointer { elements in
      var sum = 0.0
      for index in elements.indices { sum += elements[index] * elements[index] }
      return sum
    }
  }
}
