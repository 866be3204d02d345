import Foundation
import Tensors

/// Answers of yes or no from the gradients of binary cross-entropy behind an unknown rotation: g' = s K (σ(Kᵀ y') − t), 0 where t is
/// missing.
///
/// Few labels are yes, so that a column's gradients have heavy tails: a rotation towards the greatest fourth moments (quartimax; Neuhaus and
/// Wrigley, Brit. J. Stat. Psych. 7, 1954, by the fixed point of FastICA without whitening, which a rotation does not need) begins, and
/// rotation, scale and labels are then fitted in turn as in `SoftmaxGradients`.
struct BinaryGradients {
  struct Fit {
    /// `[m, columns]` by rows: 0 or 1. Yes and no of a column may have changed places: the loss is the same.
    var labels: [Int8]
    var residual: Double
  }

  let outputs: Tensor<Double>
  let gradients: Tensor<Double>
  let workers: Workers
  private var width: Int { gradients.columns }

  func fit(restarts: Int, random: inout some RandomNumberGenerator, until deadline: Deadline) -> Fit {
    var best = Fit(labels: Array(repeating: -1, count: gradients.count), residual: .infinity)
    for _ in 0..<max(1, restarts) where !deadline.hasPassed {
      guard let start = drawn(&random) else { break }
      for rotation in [heavyTailed(from: start), start] {
        // Where labels are known well or not at all, the greatest entries are near s; in between some.
        for share in [0.95, 0.75, 0.55] {
          let found = fit(from: rotation, share: share, until: deadline)
          if found.residual < best.residual { best = found }
          // Nothing is left to explain.
          if best.residual < 1e-3 { return best }
        }
      }
    }
    return best
  }

  private func drawn(_ random: inout some RandomNumberGenerator) -> Tensor<Double>? {
    // Sums of uniform numbers are near enough to normal ones for a place to start.
    let numbers = (0..<width * width).map { _ in
      (0..<6).reduce(0.0) { sum, _ in sum + Double.random(in: -1...1, using: &random) }
    }
    return nearest(Tensor(numbers, shape: [width, width]))
  }

  private func nearest(_ matrix: Tensor<Double>) -> Tensor<Double>? {
    try? SingularValues(of: matrix).nearestIsometry(tolerance: 1e-9, workers: workers)
  }

  private func heavyTailed(from start: Tensor<Double>) -> Tensor<Double> {
    var rotation = start
    for _ in 0..<50 {
      var cubes = gradients.times(rotation, workers: workers)
      cubes.withUnsafeMutableBufferPointer { elements in
        for index in elements.indices { elements[index] *= elements[index] * elements[index] }
      }
      guard let next = nearest(gradients.times(cubes, transposed: true, workers: workers)) else { break }
      let change = zip(next.elements, rotation.elements).reduce(0) { max($0, abs($1.0 - $1.1)) }
      rotation = next
      if change < 1e-6 { break }
    }
    return rotation
  }

  /// - Parameter share: of the scale, what the greatest gradients are.
  private func fit(from start: Tensor<Double>, share: Double, until deadline: Deadline) -> Fit {
    var rotation = start
    var best = Fit(labels: Array(repeating: -1, count: gradients.count), residual: .infinity)
    let total = gradients.squaredNorms.reduce(0, +)
    let magnitudes = gradients.times(rotation, workers: workers).elements.map { abs($0) }.sorted()
    guard total > 0, !magnitudes.isEmpty else { return best }
    var scale = magnitudes[Int(0.999 * Double(magnitudes.count - 1))] / share
    for _ in 0..<60 where scale > 0 && !deadline.hasPassed {
      let (labels, target, left) = labelled(rotation, scale)
      let residual = left / total
      if residual < best.residual { best = Fit(labels: labels, residual: residual) }
      guard let next = ScaledRotation(of: gradients, from: target, workers: workers) else { break }
      let change = zip(next.rotation.elements, rotation.elements).reduce(abs(next.scale / scale - 1)) {
        max($0, abs($1.0 - $1.1))
      }
      (rotation, scale) = (next.rotation, next.scale)
      if change < 1e-7 { break }
    }
    return best
  }

  /// The labels that leave the least, what they make of g/s, and what they leave of g'.
  private func labelled(
    _ rotation: Tensor<Double>, _ scale: Double
  ) -> (labels: [Int8], target: Tensor<Double>, left: Double) {
    var target = outputs.times(rotation, workers: workers)
    let turned = gradients.times(rotation, workers: workers)
    var labels = [Int8](repeating: 0, count: turned.count)
    var left = 0.0
    target.withUnsafeMutableBufferPointer { target in
      for index in labels.indices {
        let probability = 1 / (1 + exp(-target[index]))
        let value = turned[index] / scale
        // Whether a label is missing matters to the fit alone: of what is not, one or the other is said.
        labels[index] = value < probability - 0.5 ? 1 : 0
        var least = Double.infinity
        for expected in [probability, probability - 1, 0] where (value - expected) * (value - expected) < least {
          least = (value - expected) * (value - expected)
          target[index] = expected
        }
        left += least * scale * scale
      }
    }
    return (labels, target, left)
  }
}
