import Foundation
import Tensors

/// The masked records that one candidate may be, by what a key leaves of a record by itself.
struct CandidateRows: Sendable {
  struct Place: Sendable {
    let row: Int
    /// ln of how much likelier this record is the candidate than a record taken at random.
    let evidence: Double
  }

  /// Those that agree within the noise, the best first.
  let agreeing: [Place]
  /// The nearest, whether they agree or not.
  let nearest: [Place]

  /// Deviations beyond which a residual is not noise: one in 150,000.
  static let reach = 4.5

  /// - Parameters:
  ///   - most: how many are kept of those that agree.
  ///   - least: how many are kept of the nearest.
  init(candidate: Int, in scene: LinkageScene, noise: LinkageNoise, most: Int, least: Int) {
    let (bias, scale) = noise.single(norm: scene.norms[candidate], length: scene.lengths[candidate])
    let rows = scene.rows
    var magnitudes: [(row: Int, magnitude: Double)] = []
    scene.singles.withUnsafeBufferPointer { singles in
      for row in 0..<rows where scene.rowLengths[row] == scene.lengths[candidate] {
        magnitudes.append((row, abs(singles[candidate * rows + row] - bias)))
      }
    }
    let agreement = Agreement(magnitudes: magnitudes.lazy.map(\.magnitude), population: rows, scale: scale)
    let prior = log(Double(max(1, rows)))
    let within = magnitudes.filter { $0.magnitude <= Self.reach * scale }.sorted { $0.magnitude < $1.magnitude }
    func places(_ chosen: some Sequence<(row: Int, magnitude: Double)>) -> [Place] {
      chosen.map { Place(row: $0.row, evidence: agreement($0.magnitude) - prior) }
    }
    agreeing = places(within.prefix(most))
    if within.count >= least {
      nearest = agreeing
    } else {
      nearest = places(magnitudes.sorted { $0.magnitude < $1.magnitude }.prefix(least))
    }
  }
}
