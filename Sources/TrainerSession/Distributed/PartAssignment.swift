/// Which replica works on which part of a batch: a function of sizes alone, so that a run's bits do not depend on who is
/// faster.
struct PartAssignment {
  /// By part.
  let ranks: [Int]

  /// Each part in turn, the longest first, goes to whoever has the least so far.
  ///
  /// - Parameter costs: by part.
  init(costs: [Int], replicas: Int) {
    var ranks = [Int](repeating: 0, count: costs.count)
    var loads = [Int](repeating: 0, count: max(1, replicas))
    let longestFirst = costs.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
    for part in longestFirst {
      let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
      ranks[part] = rank
      loads[rank] += costs[part]
    }
    self.ranks = ranks
  }

  /// In turn, for parts whose costs are not known yet.
  init(parts: Int, replicas: Int) {
    ranks = (0..<parts).map { $0 % max(1, replicas) }
  }

  /// Ascending.
  func parts(of rank: Int) -> [Int] {
    ranks.indices.filter { ranks[$0] == rank }
  }

  /// The most samples of a batch of rows that one replica works on; parts of one size go round.
  static func largestShare(batch: Int, part: Int, replicas: Int) -> Int {
    let parts = (batch - 1) / part + 1
    return min(batch, ((parts - 1) / max(1, replicas) + 1) * part)
  }
}
