import Foundation
import Numerics

/// From one row that may be one candidate: which rows the other candidates may be, so that all are as far apart as they should be.
///
/// Rows that agree with the root and with each other make a clique. One is grown from each of the best-supported second rows, each time by the
/// row after which most of the others still agree: where distances take few values, every step has many rows that agree by chance, and only
/// rows that belong together agree with most others.
struct CliqueGrowth {
  /// A row that may be a candidate.
  struct Node {
    let candidate: Int
    let row: Int
    /// Its own evidence and that of its distance to the root.
    let evidence: Double
  }

  /// The row that each candidate of a group is taken to be, −1 for none.
  struct Assignment {
    var rows: [Int]
    var evidence: Double
  }

  /// Rows whose support is counted at each step.
  private static let considered = 32

  private let alone: Assignment
  private let nodes: [Node]
  private let candidates: Int
  /// Evidence of the distance of nodes a and b at `a * nodes.count + b`, −∞ where they cannot both be.
  private var pairs: [Float]
  /// Of the step under way: the best agreement with each candidate.
  private var bestOfCandidate: [Float]

  /// - Parameter agreement: evidence of the distance of two nodes of different candidates; nil where it does not agree.
  init(
    candidate: Int, place: CandidateRows.Place, candidates: Int, nodes: [Node], agreement: (Node, Node) -> Double?
  ) {
    var rows = [Int](repeating: -1, count: candidates)
    rows[candidate] = place.row
    alone = Assignment(rows: rows, evidence: place.evidence)
    self.nodes = nodes
    self.candidates = candidates
    bestOfCandidate = Array(repeating: 0, count: candidates)
    pairs = Array(repeating: -.infinity, count: nodes.count * nodes.count)
    for first in nodes.indices {
      for second in first + 1..<max(first + 1, nodes.count)
      where nodes[first].candidate != nodes[second].candidate && nodes[first].row != nodes[second].row {
        guard let evidence = agreement(nodes[first], nodes[second]) else { continue }
        pairs[first * nodes.count + second] = Float(evidence)
        pairs[second * nodes.count + first] = Float(evidence)
      }
    }
  }

  mutating func best(starts: Int) -> Assignment {
    var best = alone
    let all = Array(nodes.indices)
    let ranked = all.map { (node: $0, promise: nodes[$0].evidence + support(of: $0, among: all)) }
      .sorted { $0.promise > $1.promise }
    for start in ranked.prefix(starts) {
      let grown = grown(from: start.node)
      if grown.evidence > best.evidence { best = grown }
    }
    return best
  }

  /// What the other candidates' best agreements with a node would add.
  private mutating func support(of node: Int, among alive: [Int]) -> Double {
    for other in alive { bestOfCandidate[nodes[other].candidate] = 0 }
    var sum: Float = 0
    for other in alive {
      let evidence = pairs[node * nodes.count + other]
      let candidate = nodes[other].candidate
      if evidence > bestOfCandidate[candidate] {
        sum += evidence - bestOfCandidate[candidate]
        bestOfCandidate[candidate] = evidence
      }
    }
    return Double(sum)
  }

  private mutating func grown(from start: Int) -> Assignment {
    var assignment = alone
    var best = alone
    var alive = Array(nodes.indices)
    var gains = nodes.map(\.evidence)
    var next: Int? = start
    while let node = next {
      assignment.rows[nodes[node].candidate] = nodes[node].row
      assignment.evidence += gains[node]
      if assignment.evidence > best.evidence { best = assignment }
      alive = alive.filter { pairs[node * nodes.count + $0] > -.infinity }
      for other in alive { gains[other] += Double(pairs[node * nodes.count + other]) }
      let likely =
        alive.count <= Self.considered
        ? alive : Array(alive.sorted { gains[$0] > gains[$1] }.prefix(Self.considered))
      var maximum = -Double.infinity
      next = nil
      for other in likely {
        let promise = gains[other] + support(of: other, among: alive)
        if promise > maximum { (maximum, next) = (promise, other) }
      }
    }
    return best
  }
}

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
  ///   - maxAgreeing: how many are kept of those that agree, at most.
  ///   - minNearest: how many are kept of the nearest, at least.
  init(candidate: Int, in scene: LinkageScene, noise: LinkageNoise, maxAgreeing: Int, minNearest: Int) {
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
    agreeing = places(within.prefix(maxAgreeing))
    if within.count >= minNearest {
      nearest = agreeing
    } else {
      nearest = places(magnitudes.sorted { $0.magnitude < $1.magnitude }.prefix(minNearest))
    }
  }
}

/// How much more likely a residual near 0 is as noise of a known scale than by chance, from what is seen of chance.
struct Agreement: Sendable {
  /// Of the noise: its standard deviation.
  let scale: Double
  /// ln of noise's density at 0 over chance's.
  let logRatio: Double

  /// Chance's density at 0 is that of the nearest samples: of those within the reach of the noise, or of the `nearest` ones where fewer are.
  /// Values on a lattice, such as distances of fingerprints, then count for no more than the share of rows that agree in them.
  ///
  /// - Parameters:
  ///   - magnitudes: |residual| of pairs taken by chance.
  ///   - population: how many were drawn for them; more than the magnitudes where some cannot agree at all.
  init(magnitudes: some Sequence<Double>, population: Int, scale: Double, nearest: Int = 16) {
    self.scale = scale
    // The uniform density over this reach equals the normal's at 0.
    let reach = (Double.pi / 2).squareRoot() * scale
    var within = 0
    var smallest: [Double] = []
    for magnitude in magnitudes {
      if magnitude <= reach {
        within += 1
      } else if smallest.count < nearest {
        smallest.insert(magnitude, at: smallest.firstIndex { $0 > magnitude } ?? smallest.count)
      } else if let last = smallest.last, magnitude < last {
        smallest.removeLast()
        smallest.insert(magnitude, at: smallest.firstIndex { $0 > magnitude } ?? smallest.count)
      }
    }
    let missing = min(nearest - within, smallest.count)
    let (count, window) = missing > 0 ? (within + missing, smallest[missing - 1]) : (within, reach)
    logRatio = count > 0 ? log(Double(population) * window / (Double(count) * reach)) : 0
  }

  /// ln of the likelihood ratio.
  func callAsFunction(_ residual: Double) -> Double {
    let deviations = residual / scale
    return logRatio - deviations * deviations / 2
  }
}
