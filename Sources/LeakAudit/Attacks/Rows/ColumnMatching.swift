import Foundation
import Numerics

/// Which masked column is which plaintext one, by their values in the known rows: what a permutation key leaves to find out.
///
/// A masked column is taken for a plaintext one with the likelihood of their differences being noise; columns that are the same in all
/// known rows are so many equal candidates, and their average is the guess with the least squared error.
struct ColumnMatching: Sendable {
  /// `[w, d]`: x̂ = x' · weights.
  private let weights: Tensor<Double>
  private let compute: Compute

  /// - Parameters:
  ///   - plain, masked: `[m, d]` and `[m, w]`, row by row the same; m at least 1.
  ///   - isSigned: whether a masked column may be minus the plaintext one.
  init(plain: Tensor<Double>, masked: Tensor<Double>, isSigned: Bool, compute: Compute) {
    let (m, d, w) = (Double(plain.rows), plain.columns, masked.columns)
    var products = plain.times(masked, transposed: true, compute: compute)
    let plainLengths = plain.transposed.squaredNorms
    let maskedLengths = masked.transposed.squaredNorms
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
    // Likelihoods relative to the best; below e⁻⁵⁰ they are nothing beside it.
    let sharpness = -1 / (2 * variance)
    distances.withUnsafeMutableBufferPointer { elements in
      for row in 0..<d {
        for index in row * width..<(row + 1) * width {
          let exponent = sharpness * (elements[index] - nearest[row])
          elements[index] = exponent > -50 ? exp(exponent) : 0
        }
      }
    }
    products.withUnsafeMutableBufferPointer { target in
      distances.withUnsafeBufferPointer { likelihood in
        for row in 0..<d {
          var total = 0.0
          for index in row * width..<(row + 1) * width { total += likelihood[index] }
          for column in 0..<w {
            var weight = likelihood[row * width + column]
            if isSigned { weight -= likelihood[row * width + w + column] }
            target[row * w + column] = weight / total
          }
        }
      }
    }
    weights = products.transposed
    self.compute = compute
  }

  /// `[n, d]` for masked rows `[n, w]`.
  func predict(_ masked: Tensor<Double>) -> Tensor<Double> { masked.times(weights, compute: compute) }
}
