import Foundation
import Tensors

/// Soft one-to-one matchings: optimal transport between two batches of equal weight, blurred by entropy (Cuturi, NeurIPS 2013, algorithm 1).
enum SinkhornPlan {
  /// `[n, n]`: how much of each left point goes to each right one; rows and columns sum to 1 / n, columns exactly.
  ///
  /// - Parameters:
  ///   - costs: `[n, n]`, at least 0.
  ///   - sharpness: blur relative to the mean cost.
  static func plan(costs: Tensor<Double>, sharpness: Double, iterations: Int = 30) -> Tensor<Double> {
    let n = costs.rows
    let mean = costs.withUnsafeBufferPointer { $0.reduce(0, +) } / Double(max(1, costs.count))
    guard mean > 0 else { return Tensor(repeating: 1 / Double(n * n), shape: [n, n]) }
    let scale = -1 / (sharpness * mean)
    var kernel = costs
    var left = [Double](repeating: 1, count: n)
    var right = [Double](repeating: 1, count: n)
    // An outlier's whole row would round to 0.
    let least = Double.leastNormalMagnitude
    let share = 1 / Double(n)
    kernel.withUnsafeMutableBufferPointer { k in
      for row in 0..<n {
        var nearest = Double.infinity
        for index in row * n..<(row + 1) * n { nearest = min(nearest, k[index]) }
        // A factor of the whole row, which the plan does not depend on.
        for index in row * n..<(row + 1) * n { k[index] = exp(scale * (k[index] - nearest)) }
      }
      for _ in 0..<iterations {
        for row in 0..<n {
          var sum = 0.0
          for column in 0..<n { sum += k[row * n + column] * right[column] }
          left[row] = share / max(sum, least)
        }
        var sums = [Double](repeating: 0, count: n)
        for row in 0..<n {
          for column in 0..<n { sums[column] += k[row * n + column] * left[row] }
        }
        for column in 0..<n { right[column] = share / max(sums[column], least) }
      }
      for row in 0..<n {
        for column in 0..<n { k[row * n + column] *= left[row] * right[column] }
      }
    }
    return kernel
  }
}
