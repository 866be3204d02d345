import Foundation
import Tensors

/// Which masked column is which plaintext one, by their values in the known rows: what a permutation key leaves to find out.
///
/// A masked column is taken for a plaintext one with the likelihood of their differences being noise; columns that are the same in all
/// known rows are so many equal candidates, and their average is the guess with the least squared error.
struct ColumnMatching: Sendable {
  /// `[w, d]`: x̂ = x' · weights.
  private let weights: Tensor<Double>
  private let workers: Workers

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 1.
  ///   - isSigned: whether a masked column may be minus the plaintext one.
  init(plain: Tensor<Double>, masked: Tensor<Double>, isSigned: Bool, workers: Workers) {
    let (m, d, w) = (Double(plain.rows), plain.columns, masked.columns)
    var products = plain.times(masked, transposed: true, workers: workers)
    let plainLengths = plain.transposed.squaredRowLengths
    let maskedLengths = masked.transposed.squaredRowLengths
    // Squared distances, of columns and of columns with the sign changed, in one matrix [d, 2 w].
    let width = isSigned ? 2 * w : w
    var distances = Tensor<Double>(uninitialized: [d, width])
    var nearest = [Double](repeating: .infinity, count: d)
    distances.withUnsafeMutableBufferPointer { target in
      products.withUnsafeBufferPointer { product in
        for row in 0..<d {
          for column in 0..<w {
            let sum = plainLengths[row] + maskedLengths[column]
            let distance = max(0, sum - 2 * product[row * w + column])
            target[row * width + column] = distance
            nearest[row] = min(nearest[row], distance)
            guard isSigned else { continue }
            let opposite = max(0, sum + 2 * product[row * w + column])
            target[row * width + w + column] = opposite
            nearest[row] = min(nearest[row], opposite)
          }
        }
      }
    }
    // The typical difference of a column from its match; without noise, of Float32's rounding.
    let scale = plainLengths.reduce(0, +) / Double(max(1, d)) / m
    let median = nearest.sorted()[d / 2] / m
    let variance = max(median, 1e-12 * scale, 1e-30)
    products.withUnsafeMutableBufferPointer { target in
      distances.withUnsafeBufferPointer { distance in
        for row in 0..<d {
          var total = 0.0
          for column in 0..<width {
            total += exp((nearest[row] - distance[row * width + column]) / (2 * variance))
          }
          for column in 0..<w {
            var weight = exp((nearest[row] - distance[row * width + column]) / (2 * variance))
            if isSigned { weight -= exp((nearest[row] - distance[row * width + w + column]) / (2 * variance)) }
            target[row * w + column] = weight / total
          }
        }
      }
    }
    weights = products.transposed
    self.workers = workers
  }

  /// `[n, d]` for masked rows `[n, w]`.
  func predict(_ masked: Tensor<Double>) -> Tensor<Double> { masked.times(weights, workers: workers) }
}
