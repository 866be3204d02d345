/// How often each cluster of rows is followed by each other.
struct BigramLinks: Sendable {
  struct Link: Sendable {
    let other: Int
    let count: Float
  }

  /// Of `size` clusters and, last, the start of a sample: what comes after it.
  private(set) var after: [[Link]]
  private(set) var before: [[Link]]
  /// How often a cluster follows itself.
  private(set) var itself: [Float]

  /// - Parameter size: clusters from there on are too rare: what stands next to them is not counted.
  init(_ clusters: VectorClusters, lengths: [Int], size: Int) {
    var counts: [Int: Float] = [:]
    var start = 0
    for length in lengths {
      var before = size
      for row in start..<max(start, min(start + length, clusters.cluster.count)) {
        let cluster = clusters.cluster[row]
        if cluster < size, before <= size { counts[before * size + cluster, default: 0] += 1 }
        before = cluster < size ? cluster : size + 1
      }
      start += length
    }
    after = Array(repeating: [], count: size + 1)
    before = Array(repeating: [], count: size)
    itself = Array(repeating: 0, count: size)
    for (pair, count) in counts.sorted(by: { $0.key < $1.key }) {
      let (from, to) = (pair / size, pair % size)
      if from == to {
        itself[from] = count
      } else {
        after[from].append(Link(other: to, count: count))
        before[to].append(Link(other: from, count: count))
      }
    }
  }
}
