import Foundation
import Tensors

/// Classes from the gradients of softmax cross-entropy behind an unknown rotation: g' = s K (softmax(Kᵀ y') − e_class).
///
/// Outputs, gradients and the form of the loss are known; rotation K, scale s and the classes are fitted in turn: given classes, K is the
/// nearest rotation (orthogonal Procrustes: Schönemann, Psychometrika 31, 1966), and given K, each row's class is the one that leaves
/// the least.
struct SoftmaxGradients {
  struct Fit {
    var classes: [Int]
    /// Σ‖g' − fitted‖² / Σ‖g'‖²: what the attacker can judge the fit by.
    var residual: Double
  }

  let outputs: Tensor<Double>
  let gradients: Tensor<Double>
  let workers: Workers
  private var width: Int { gradients.columns }

  /// - Parameter classes: to begin with, 0 ..< width.
  func fit(from classes: [Int], iterations: Int = 30, until deadline: Deadline) -> Fit {
    var probabilities = Tensor<Double>(repeating: 1 / Double(width), shape: gradients.shape)
    var fit = Fit(classes: classes, residual: .infinity)
    let total = gradients.squaredNorms.reduce(0, +)
    for _ in 0..<iterations where !deadline.hasPassed {
      var target = probabilities
      target.withUnsafeMutableBufferPointer { elements in
        for (row, cluster) in fit.classes.enumerated() { elements[row * width + cluster] -= 1 }
      }
      guard let found = ScaledRotation(of: gradients, from: target, workers: workers), found.scale > 0, total > 0 else {
        break
      }
      probabilities = outputs.times(found.rotation, workers: workers).softmaxRows
      let next = assigned(
        gradients.times(found.rotation, workers: workers), probabilities, scale: found.scale, total: total)
      let isDone = next.classes == fit.classes
      if next.residual > fit.residual { break }
      fit = next
      if isDone, fit.residual < 1e-6 { break }
    }
    return fit
  }

  /// Of g/s − p = −e_class, the class is where the least entry is.
  private func assigned(
    _ turned: Tensor<Double>, _ probabilities: Tensor<Double>, scale: Double, total: Double
  ) -> Fit {
    var classes = [Int](repeating: 0, count: turned.rows)
    var left = 0.0
    turned.withUnsafeBufferPointer { turned in
      probabilities.withUnsafeBufferPointer { probabilities in
        for row in classes.indices {
          var (least, squares) = (Double.infinity, 0.0)
          for column in 0..<width {
            let value = turned[row * width + column] / scale - probabilities[row * width + column]
            squares += value * value
            if value < least { (least, classes[row]) = (value, column) }
          }
          left += squares + 2 * least + 1
        }
      }
    }
    return Fit(classes: classes, residual: left * scale * scale / total)
  }
}

extension Tensor<Double> {
  /// exp(x) over its sum, row by row.
  fileprivate var softmaxRows: Tensor {
    var result = self
    let width = columns
    result.withUnsafeMutableBufferPointer { elements in
      for row in 0..<rows {
        let range = row * width..<(row + 1) * width
        let most = elements[range].max() ?? 0
        var sum = 0.0
        for index in range {
          elements[index] = exp(elements[index] - most)
          sum += elements[index]
        }
        for index in range { elements[index] /= sum }
      }
    }
    return result
  }
}
