import Tensors

/// The nearest point of another set for every point of two sets, each way.
struct Neighbours {
  /// Of each left point the nearest right one.
  let forward: [Int]
  /// Of each right point the nearest left one.
  let backward: [Int]
  /// Squared distances to them.
  let forwardDistances: [Double]
  let backwardDistances: [Double]

  /// - Parameters:
  ///   - left, right: `[n, q]` and `[s, q]`, at least one each.
  init(of left: Tensor<Double>, among right: Tensor<Double>, workers: Workers) {
    let distances = left.squaredDistances(to: right, workers: workers)
    let (rows, columns) = (left.rows, right.rows)
    var forwardBest = [Double](repeating: .infinity, count: rows)
    var backwardBest = [Double](repeating: .infinity, count: columns)
    var forward = [Int](repeating: 0, count: rows)
    var backward = [Int](repeating: 0, count: columns)
    distances.withUnsafeBufferPointer { distance in
      for row in 0..<rows {
        for column in 0..<columns {
          let value = distance[row * columns + column]
          if value < forwardBest[row] {
            forwardBest[row] = value
            forward[row] = column
          }
          if value < backwardBest[column] {
            backwardBest[column] = value
            backward[column] = row
          }
        }
      }
    }
    self.forward = forward
    self.backward = backward
    forwardDistances = forwardBest
    backwardDistances = backwardBest
  }
}
