/// Items dealt out to bins so that all bins get about as much: the longest first, each to the bin that has the least so far (Graham, SIAM J.
/// Appl. Math. 17, 1969). A function of sizes alone, so that what depends on it can be repeated.
package struct BalancedAssignment: Sendable {
  /// The bin of each item.
  package let bins: [Int]

  /// - Parameters:
  ///   - costs: of each item, at least 0.
  ///   - room: how many items each bin may have, one bin at least; together for all of them.
  package init(costs: [Int], room: [Int]) {
    var bins = [Int](repeating: 0, count: costs.count)
    var (loads, room) = ([Int](repeating: 0, count: room.count), room)
    let longestFirst = costs.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
    for item in longestFirst {
      var least: Int?
      for bin in loads.indices where room[bin] > 0 && least.map({ loads[bin] < loads[$0] }) ?? true { least = bin }
      guard let least else { break }
      bins[item] = least
      loads[least] += costs[item]
      room[least] -= 1
    }
    self.bins = bins
  }
}
