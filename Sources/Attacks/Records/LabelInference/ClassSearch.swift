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
    let centred = outputs.subtracting(outputs.columnMeans).normalizedRows
    var best: SoftmaxGradients.Fit?
    var tightest: (assignment: [Int], share: Double)?
    for features in [directions, Tensor.beside([directions, centred], rows: directions.rows), centred] {
      if best != nil, deadline.hasPassed { break }
      let means = KMeans(clusters: gradients.columns, restarts: restarts, workers: workers)
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
