/// From one row that may be one candidate: which rows the other candidates may be, so that all are as far apart as they should be.
///
/// Rows that agree with the root and with each other make a clique. One is grown from each of the best-supported second rows, always by the
/// row that most is left of afterwards: where distances take few values, every step has many rows that agree by chance, and only
/// rows that belong together agree with most others.
struct CliqueGrowth {
  /// A row that may be a candidate.
  struct Node {
    let candidate: Int
    let row: Int
    /// Its own evidence and that of its distance to the root.
    let evidence: Double
  }

  /// Which row each candidate of a group is, −1 where it is none.
  struct Laying {
    var rows: [Int]
    var evidence: Double
  }

  /// Rows whose support is counted at each step.
  private static let considered = 32

  private let alone: Laying
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
    alone = Laying(rows: rows, evidence: place.evidence)
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

  mutating func best(starts: Int) -> Laying {
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

  private mutating func grown(from start: Int) -> Laying {
    var laying = alone
    var best = alone
    var alive = Array(nodes.indices)
    var gains = nodes.map(\.evidence)
    var next: Int? = start
    while let node = next {
      laying.rows[nodes[node].candidate] = nodes[node].row
      laying.evidence += gains[node]
      if laying.evidence > best.evidence { best = laying }
      alive = alive.filter { pairs[node * nodes.count + $0] > -.infinity }
      for other in alive { gains[other] += Double(pairs[node * nodes.count + other]) }
      let likely =
        alive.count <= Self.considered
        ? alive : Array(alive.sorted { gains[$0] > gains[$1] }.prefix(Self.considered))
      var most = -Double.infinity
      next = nil
      for other in likely {
        let promise = gains[other] + support(of: other, among: alive)
        if promise > most { (most, next) = (promise, other) }
      }
    }
    return best
  }
}
