import Tensors

/// Clusters of rows by the directions of their gradients, by their outputs, and by both, each then fitted to the form of the loss; the
/// one that leaves least of the gradients is kept.
struct ClassSearch {
  /// What a fit may leave of the gradients to be believed; else the tightest of the clusterings is taken as it is.
  private static let credible = 0.25

  let outputs: Tensor<Double>
  let gradients: Tensor<Double>
  let restarts: Int
  let workers: Workers

  func clusters(random: inout some RandomNumberGenerator, until deadline: Deadline) -> [Int] {
    guard gradients.rows > 0 else { return [] }
    let model = SoftmaxGradients(outputs: outputs, gradients: gradients, workers: workers)
    let directions = gradients.normalizedRows
    let centred = outputs.centred.normalizedRows
    var best: SoftmaxGradients.Fit?
    var tightest: (assignment: [Int], share: Double)?
    for features in [directions, directions.beside(centred), centred] {
      if best != nil, deadline.hasPassed { break }
      let means = KMeans(clusters: gradients.columns, restarts: restarts, workers: workers)
      let found = means.clustering(of: features, random: &random, until: deadline)
      let fit = model.fit(from: found.assignment, until: deadline)
      if fit.residual < best?.residual ?? .infinity { best = fit }
      let share = found.sumOfSquares / max(1e-300, features.centred.squaredNorms.reduce(0, +))
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

  /// Less the mean of each column.
  fileprivate var centred: Tensor {
    let width = columns
    var means = [Double](repeating: 0, count: width)
    withUnsafeBufferPointer { elements in
      for index in elements.indices { means[index % width] += elements[index] / Double(Swift.max(1, rows)) }
    }
    var result = self
    result.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices { elements[index] -= means[index % width] }
    }
    return result
  }

  fileprivate func beside(_ other: Tensor) -> Tensor {
    var joined: [Double] = []
    for row in 0..<rows {
      joined += slice(rows: row..<row + 1).elements
      joined += other.slice(rows: row..<row + 1).elements
    }
    return Tensor(joined, shape: [rows, columns + other.columns])
  }
}
