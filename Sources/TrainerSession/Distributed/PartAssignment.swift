import Architecture

/// Which replica works on which part of a batch: a function of sizes alone, so that a run's bits do not depend on who is
/// faster.
struct PartAssignment {
  /// By part.
  let ranks: [Int]

  /// - Parameter costs: by part; each replica gets about as much.
  init(costs: [Int], replicas: Int) {
    ranks = BalancedAssignment(costs: costs, room: Array(repeating: costs.count, count: max(1, replicas))).bins
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
