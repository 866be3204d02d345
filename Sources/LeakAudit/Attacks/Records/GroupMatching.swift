import Foundation
import Numerics

/// A few candidates that are asked about together, each assigned a masked record so that norms and distances agree.
///
/// Each member of a group must be a row that agrees with it in what a key leaves of one record, and the rows of two members must be as far
/// apart as the two. Assignments are grown from the rows that may be one of the rarest candidates (`CliqueGrowth`); the evidence of one is
/// the log-likelihood of all agreements against chance, less the logarithm of the number of rows to choose from.
struct GroupMatching {
  struct Settings: Sendable {
    /// Rows that are tried for a candidate.
    var rowsPerCandidate = 256
    /// Rows of the rarest candidates that growth starts from.
    var roots = 256
    /// Candidates that growth starts from.
    var rootCandidates = 6
    /// Rows of another candidate, and of all others, that are kept beside a root.
    var branches = 16
    var nodes = 256
    /// Second steps that are tried from a root.
    var starts = 4
  }

  struct Outcome: Sendable {
    /// Of each candidate: ln of how much likelier the view is with it than without it.
    var scores: [Double]
    /// Of the whole group.
    var evidence: Double
    /// Whether all rows that growth starts from were tried before the deadline.
    var isComplete: Bool
  }

  /// A pair that does not agree costs as much as a coincidence of one in a thousand at most: one candidate with a wrong row must not outweigh
  /// all others.
  private static let leastEvidence = log(1e-3)

  private let scene: LinkageScene
  let group: [Int]
  private let settings: Settings
  let rows: [CandidateRows]
  /// Of candidates i and j at `i * group.count + j`.
  private var expected: [Double] = []
  private var agreements: [Agreement] = []

  init(_ group: [Int], in scene: LinkageScene, noise: LinkageNoise, settings: Settings) {
    self.scene = scene
    self.group = group
    self.settings = settings
    rows = group.map {
      CandidateRows(candidate: $0, in: scene, noise: noise, maxAgreeing: settings.rowsPerCandidate, minNearest: 32)
    }
    let none = Agreement(magnitudes: [], population: 1, scale: 1)
    expected = Array(repeating: 0, count: group.count * group.count)
    agreements = Array(repeating: none, count: group.count * group.count)
    for first in group.indices {
      for second in group.indices where second > first {
        let distance = scene.distance(group[first], group[second])
        let (bias, scale) = noise.pair(
          distance: distance, norms: (scene.norms[group[first]], scene.norms[group[second]]),
          lengths: (scene.lengths[group[first]], scene.lengths[group[second]]))
        let agreement = chance(first, second, expected: distance + bias, scale: scale)
        for place in [first * group.count + second, second * group.count + first] {
          expected[place] = distance + bias
          agreements[place] = agreement
        }
      }
    }
  }

  /// What distances between rows like the two come out by chance.
  private func chance(_ first: Int, _ second: Int, expected: Double, scale: Double) -> Agreement {
    func some(_ places: [CandidateRows.Place]) -> [Int] {
      let step = max(1, places.count / 48)
      return stride(from: 0, to: places.count, by: step).map { places[$0].row }
    }
    let (ones, others) = (some(rows[first].nearest), some(rows[second].nearest))
    var magnitudes: [Double] = []
    magnitudes.reserveCapacity(ones.count * others.count)
    scene.distances.withUnsafeBufferPointer { distances in
      for one in ones {
        for other in others where other != one {
          magnitudes.append(abs(Double(distances[one * scene.rows + other]) - expected))
        }
      }
    }
    return Agreement(magnitudes: magnitudes, population: magnitudes.count, scale: scale)
  }

  /// - Parameter deadline: after it growth starts from no more rows, and the best assignment so far is used.
  func outcome(until deadline: Deadline) -> Outcome {
    scene.distances.withUnsafeBufferPointer { distances in
      let (best, isComplete) = best(distances, until: deadline)
      let assigned = completed(best, distances)
      let scores = group.indices.map { score($0, beside: assigned.rows, distances) }
      return Outcome(scores: scores, evidence: assigned.evidence, isComplete: isComplete)
    }
  }

  /// The evidence that a row is a candidate, given the rows of the others.
  func evidence(
    _ candidate: Int, _ place: CandidateRows.Place, _ others: [Int], _ assigned: [Int],
    _ distances: UnsafeBufferPointer<Float>
  ) -> Double {
    others.reduce(place.evidence) { sum, other in
      let agreement = agreement(candidate, place.row, other, assigned[other], distances)
      return sum + max(Self.leastEvidence, agreement ?? -.infinity)
    }
  }

  /// Nil where the rows are not as far apart as the candidates.
  private func agreement(
    _ first: Int, _ row: Int, _ second: Int, _ other: Int, _ distances: UnsafeBufferPointer<Float>
  ) -> Double? {
    let place = first * group.count + second
    let residual = Double(distances[row * scene.rows + other]) - expected[place]
    guard abs(residual) <= CandidateRows.reach * agreements[place].scale else { return nil }
    return agreements[place](residual)
  }

  /// The assignment with the greatest evidence, and whether there was time to try all.
  private func best(
    _ distances: UnsafeBufferPointer<Float>, until deadline: Deadline
  ) -> (assignment: CliqueGrowth.Assignment, isComplete: Bool) {
    var best = CliqueGrowth.Assignment(rows: Array(repeating: -1, count: group.count), evidence: 0)
    let promising = promising
    let rarest = group.indices.filter { promising.contains($0) }
      .sorted { rows[$0].agreeing.count < rows[$1].agreeing.count }
    var left = settings.roots
    for root in rarest.prefix(settings.rootCandidates) {
      for place in rows[root].agreeing.prefix(left) {
        if deadline.hasPassed { return (best, false) }
        left -= 1
        var growth = CliqueGrowth(
          candidate: root, place: place, candidates: group.count, nodes: beside(root, place.row, promising, distances)
        ) { first, second in
          agreement(first.candidate, first.row, second.candidate, second.row, distances)
        }
        let assignment = growth.best(starts: settings.starts)
        if assignment.evidence > best.evidence { best = assignment }
      }
    }
    return (best, true)
  }

  /// The candidates that could add to the evidence if all others had rows that agreed perfectly. Under noise much larger than the distances there
  /// are none, and nothing has to be searched.
  private var promising: Set<Int> {
    var left = Set(group.indices.filter { !rows[$0].agreeing.isEmpty })
    while true {
      let next = left.filter { candidate in
        let own = rows[candidate].agreeing.map(\.evidence).max() ?? 0
        return left.reduce(own) { sum, other in
          other == candidate ? sum : sum + max(0, agreements[candidate * group.count + other].logRatio)
        } > 0
      }
      if next.count == left.count { return left }
      left = next
    }
  }

  /// Rows of the other candidates that are as far from the root as they should be.
  private func beside(
    _ root: Int, _ row: Int, _ candidates: Set<Int>, _ distances: UnsafeBufferPointer<Float>
  ) -> [CliqueGrowth.Node] {
    var nodes: [CliqueGrowth.Node] = []
    for candidate in group.indices where candidate != root && candidates.contains(candidate) {
      let found = rows[candidate].agreeing.compactMap { other -> CliqueGrowth.Node? in
        guard other.row != row, let evidence = agreement(root, row, candidate, other.row, distances) else { return nil }
        return CliqueGrowth.Node(candidate: candidate, row: other.row, evidence: other.evidence + evidence)
      }
      nodes += found.count <= settings.branches ? found : Self.strongest(found, settings.branches)
    }
    return nodes.count <= settings.nodes ? nodes : Self.strongest(nodes, settings.nodes)
  }

  private static func strongest(_ nodes: [CliqueGrowth.Node], _ count: Int) -> [CliqueGrowth.Node] {
    Array(nodes.sorted { $0.evidence > $1.evidence }.prefix(count))
  }

  /// ln of the mean over all rows of the likelihood ratio that the row is the candidate, given where the others are.
  private func score(_ candidate: Int, beside assigned: [Int], _ distances: UnsafeBufferPointer<Float>) -> Double {
    let others = group.indices.filter { $0 != candidate && assigned[$0] >= 0 }
    let taken = Set(others.map { assigned[$0] })
    let evidence = rows[candidate].nearest.filter { !taken.contains($0.row) }.map {
      self.evidence(candidate, $0, others, assigned, distances)
    }
    guard let maximum = evidence.max() else { return -Double.greatestFiniteMagnitude }
    return maximum + log(evidence.reduce(0) { $0 + exp($1 - maximum) })
  }
}

extension GroupMatching {
  /// Moves candidates to their best rows, given the rows of the others, as long as the evidence grows: growth looks at a few rows of each
  /// candidate, and a root may have been the wrong one.
  func completed(
    _ assignment: CliqueGrowth.Assignment, _ distances: UnsafeBufferPointer<Float>
  ) -> CliqueGrowth.Assignment {
    var assignment = assignment
    for _ in 0..<2 * group.count {
      var best = (gain: 1e-9, candidate: -1, row: -1)
      for candidate in group.indices {
        let others = group.indices.filter { $0 != candidate && assignment.rows[$0] >= 0 }
        let taken = Set(others.map { assignment.rows[$0] })
        var (now, maximum, row) = (0.0, 0.0, -1)
        for place in rows[candidate].agreeing where !taken.contains(place.row) {
          let evidence = evidence(candidate, place, others, assignment.rows, distances)
          if place.row == assignment.rows[candidate] { now = evidence }
          if evidence > maximum { (maximum, row) = (evidence, place.row) }
        }
        if maximum - now > best.gain { best = (maximum - now, candidate, row) }
      }
      guard best.candidate >= 0 else { break }
      assignment.rows[best.candidate] = best.row
      assignment.evidence += best.gain
    }
    return assignment
  }
}
