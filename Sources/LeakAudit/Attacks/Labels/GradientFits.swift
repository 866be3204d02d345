import Foundation
import Numerics

/// Clusters of rows by the directions of their gradients, by their outputs, and by both, each then fitted to the form of the loss; the
/// one that leaves least of the gradients is kept.
struct ClassSearch {
  /// What a fit may leave of the gradients to be believed; else the tightest of the clusterings is taken as it is.
  private static let credible = 0.25

  let outputs: Tensor<Double>
  let gradients: Tensor<Double>
  let restarts: Int
  let compute: Compute

  func clusters(random: inout some RandomNumberGenerator, until deadline: Deadline) -> [Int] {
    guard gradients.rows > 0 else { return [] }
    let model = SoftmaxGradients(outputs: outputs, gradients: gradients, compute: compute)
    let directions = gradients.normalizedRows
    let centred = outputs.subtracting(outputs.columnMeans).normalizedRows
    var best: SoftmaxGradients.Fit?
    var tightest: (assignment: [Int], share: Double)?
    for features in [directions, Tensor.beside([directions, centred], rows: directions.rows), centred] {
      if best != nil, deadline.hasPassed { break }
      let means = KMeans(clusters: gradients.columns, restarts: restarts, compute: compute)
      let found = means.clustering(of: features, random: &random, until: deadline)
      let fit = model.fit(from: found.assignment, until: deadline)
      if fit.residual < best?.residual ?? .infinity { best = fit }
      let share = found.sumOfSquares / max(1e-300, features.subtracting(features.columnMeans).sumOfSquares)
      if share < tightest?.share ?? .infinity { tightest = (found.assignment, share) }
      // Nothing is left to explain.
      if fit.residual < 1e-3 { break }
    }
    if let best, best.residual < Self.credible { return best.classes }
    return tightest?.assignment ?? []
  }
}

extension Tensor<Double> {
  /// Rows of length 1; rows of zeros stay.
  fileprivate var normalizedRows: Tensor {
    let (norms, width) = (squaredNorms, columns)
    var result = self
    result.withUnsafeMutableBufferPointer { elements in
      for row in norms.indices where norms[row] > 0 {
        let length = norms[row].squareRoot()
        for column in 0..<width { elements[row * width + column] /= length }
      }
    }
    return result
  }
}

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
  let compute: Compute
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
      guard let found = ScaledRotation(of: gradients, from: target, compute: compute), found.scale > 0, total > 0 else {
        break
      }
      probabilities = outputs.times(found.rotation, compute: compute).softmaxRows
      let next = assigned(
        gradients.times(found.rotation, compute: compute), probabilities, scale: found.scale, total: total)
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
        let maximum = elements[range].max() ?? 0
        var sum = 0.0
        for index in range {
          elements[index] = exp(elements[index] - maximum)
          sum += elements[index]
        }
        for index in range { elements[index] /= sum }
      }
    }
    return result
  }
}

/// Binary labels from the gradients of binary cross-entropy behind an unknown rotation: g' = s K (σ(Kᵀ y') − t), 0 where t is
/// missing.
///
/// Few labels are positive, so that a column's gradients have heavy tails: a rotation towards the greatest fourth moments (quartimax; Neuhaus and
/// Wrigley, Brit. J. Stat. Psych. 7, 1954, by the fixed point of FastICA without whitening, which a rotation does not need) begins, and
/// rotation, scale and labels are then fitted in turn as in `SoftmaxGradients`.
struct BinaryGradients {
  struct Fit {
    /// `[m, columns]` by rows: 0 or 1. The two values of a column may be exchanged: the loss is the same.
    var labels: [Int8]
    var residual: Double
  }

  let outputs: Tensor<Double>
  let gradients: Tensor<Double>
  let compute: Compute
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
    try? SingularValues(of: matrix).nearestIsometry(tolerance: 1e-9, compute: compute)
  }

  private func heavyTailed(from start: Tensor<Double>) -> Tensor<Double> {
    var rotation = start
    for _ in 0..<50 {
      var cubes = gradients.times(rotation, compute: compute)
      cubes.withUnsafeMutableBufferPointer { elements in
        for index in elements.indices { elements[index] *= elements[index] * elements[index] }
      }
      guard let next = nearest(gradients.times(cubes, transposed: true, compute: compute)) else { break }
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
    let magnitudes = gradients.times(rotation, compute: compute).elements.map { abs($0) }.sorted()
    guard total > 0, !magnitudes.isEmpty else { return best }
    var scale = magnitudes[Int(0.999 * Double(magnitudes.count - 1))] / share
    for _ in 0..<60 where scale > 0 && !deadline.hasPassed {
      let (labels, target, left) = labelled(rotation, scale)
      let residual = left / total
      if residual < best.residual { best = Fit(labels: labels, residual: residual) }
      guard let next = ScaledRotation(of: gradients, from: target, compute: compute) else { break }
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
    var target = outputs.times(rotation, compute: compute)
    let turned = gradients.times(rotation, compute: compute)
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

/// The rotation K and the scale s for which s · target · Kᵀ comes nearest to some rows (Schönemann and Carroll, Psychometrika 35, 1970).
struct ScaledRotation {
  let rotation: Tensor<Double>
  /// ⟨rowsᵀ target, K⟩ / ‖target‖².
  let scale: Double

  /// Nil where the rotation cannot be told.
  init?(of rows: Tensor<Double>, from target: Tensor<Double>, compute: Compute) {
    let products = rows.times(target, transposed: true, compute: compute)
    guard let rotation = try? SingularValues(of: products).nearestIsometry(tolerance: 1e-9, compute: compute) else {
      return nil
    }
    let squares = target.squaredNorms.reduce(0, +)
    self.rotation = rotation
    scale = zip(products.elements, rotation.elements).reduce(0) { $0 + $1.0 * $1.1 } / max(1e-300, squares)
  }
}
