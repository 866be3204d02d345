package import Numerics

/// Clusters of rows around their means.
///
/// Lloyd's iteration (IEEE Trans. Inf. Theory 28, 1982) from the seeds of Arthur and Vassilvitskii, "k-means++" (SODA 2007, section 2.2);
/// the best of several starts by the sum of squares within clusters.
package struct KMeans: Sendable {
  package var clusters: Int
  package var restarts: Int
  package var iterations: Int
  private let compute: Compute

  /// - Parameter clusters: at least 1; with fewer rows there are as many as rows.
  package init(clusters: Int, restarts: Int = 8, iterations: Int = 50, compute: Compute) {
    self.clusters = clusters
    self.restarts = restarts
    self.iterations = iterations
    self.compute = compute
  }

  package struct Clustering: Sendable {
    /// For each row its cluster.
    package var assignment: [Int]
    /// `[clusters, columns]`.
    package var centres: Tensor<Double>
    package var sumOfSquares: Double
  }

  /// - Parameters:
  ///   - rows: `[n, columns]`, finite.
  ///   - deadline: after it no start and no iteration begins but the first assignment.
  package func clustering(
    of rows: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) -> Clustering {
    let norms = rows.squaredNorms
    var best: Clustering?
    for _ in 0..<max(1, restarts) {
      if best != nil, deadline.hasPassed { break }
      let found = refined(seeds(rows, norms, &random), rows, norms, until: deadline)
      if found.sumOfSquares < best?.sumOfSquares ?? .infinity { best = found }
    }
    return best
      ?? Clustering(
        assignment: Array(repeating: 0, count: rows.rows), centres: Tensor(zeros: [0, rows.columns]), sumOfSquares: 0)
  }

  /// The first at random, each other with a probability in proportion to its squared distance to the nearest before it.
  private func seeds(
    _ rows: Tensor<Double>, _ norms: [Double], _ random: inout some RandomNumberGenerator
  ) -> Tensor<Double> {
    guard rows.rows > 0 else { return Tensor(zeros: [0, rows.columns]) }
    var chosen = [Int.random(in: 0..<rows.rows, using: &random)]
    var distances = [Double](repeating: .infinity, count: rows.rows)
    while chosen.count < min(clusters, rows.rows) {
      let last = chosen[chosen.count - 1]
      let products = rows.times(rows.slice(rows: last..<last + 1), otherTransposed: true, compute: compute)
      for row in distances.indices {
        distances[row] = min(distances[row], max(0, norms[row] + norms[last] - 2 * products[row]))
      }
      chosen.append(Self.drawn(distances, &random))
    }
    return rows.selecting(rows: chosen)
  }

  /// An index with a probability in proportion to its weight.
  private static func drawn(_ weights: [Double], _ random: inout some RandomNumberGenerator) -> Int {
    let total = weights.reduce(0, +)
    guard total > 0 else { return Int.random(in: weights.indices, using: &random) }
    var left = Double.random(in: 0..<total, using: &random)
    for (index, weight) in weights.enumerated() {
      left -= weight
      if left < 0 { return index }
    }
    return weights.count - 1
  }

  private func refined(
    _ seeds: Tensor<Double>, _ rows: Tensor<Double>, _ norms: [Double], until deadline: Deadline
  ) -> Clustering {
    var found = assigned(rows, norms, to: seeds)
    for _ in 0..<max(0, iterations) {
      if deadline.hasPassed { break }
      let next = assigned(rows, norms, to: means(rows, found))
      let isDone = next.assignment == found.assignment
      found = next
      if isDone { break }
    }
    return found
  }

  private func assigned(_ rows: Tensor<Double>, _ norms: [Double], to centres: Tensor<Double>) -> Clustering {
    let centreNorms = centres.squaredNorms
    let count = centres.rows
    let products = rows.times(centres, otherTransposed: true, compute: compute)
    var assignment = [Int](repeating: 0, count: rows.rows)
    var sum = 0.0
    products.withUnsafeBufferPointer { products in
      for row in 0..<rows.rows {
        var nearest = Double.infinity
        for centre in 0..<count {
          let distance = centreNorms[centre] - 2 * products[row * count + centre]
          if distance < nearest { (nearest, assignment[row]) = (distance, centre) }
        }
        sum += max(0, nearest + norms[row])
      }
    }
    return Clustering(assignment: assignment, centres: centres, sumOfSquares: sum)
  }

  /// A cluster without rows keeps its centre.
  private func means(_ rows: Tensor<Double>, _ clustering: Clustering) -> Tensor<Double> {
    let width = rows.columns
    var sums = [Double](repeating: 0, count: clustering.centres.count)
    var counts = [Double](repeating: 0, count: clustering.centres.rows)
    rows.withUnsafeBufferPointer { elements in
      for (row, cluster) in clustering.assignment.enumerated() {
        counts[cluster] += 1
        for column in 0..<width { sums[cluster * width + column] += elements[row * width + column] }
      }
    }
    for index in sums.indices {
      let count = counts[index / width]
      sums[index] = count > 0 ? sums[index] / count : clustering.centres[index]
    }
    return Tensor(sums, shape: clustering.centres.shape)
  }
}
