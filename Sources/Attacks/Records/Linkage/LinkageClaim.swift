import Tensors

/// Which candidates are said to be in the data, and which masked records to be neighbours.
package struct LinkageClaim: Sendable {
  /// Asked about so many at a time.
  struct Answers: Sendable {
    let groupSize: Int
    /// Of each candidate, higher for those that are rather in the data; nil where there was no time.
    let scores: [Double?]
  }

  /// The records nearest to one, by number.
  struct Neighbours: Sendable {
    let record: Int
    let nearest: [Int]
  }

  let candidates: Records
  let answers: [Answers]
  /// Of the view's samples: how its rows make records.
  let lengths: [Int32]?
  let neighbours: [Neighbours]

  /// The share of claimed neighbours that are among the nearest in plaintext, as many as were claimed; those as far off as the last
  /// count. Chance is what any other choice of as many has.
  func neighbourOverlap(with members: Records, workers: Workers) -> (share: Double, chance: Double) {
    let count = members.count
    guard count > 1, !neighbours.isEmpty else { return (0, 0) }
    let distances = members.vectors.selecting(rows: neighbours.map(\.record))
      .squaredDistances(to: members.vectors, workers: workers)
    let norms = members.vectors.squaredNorms
    var (right, claimed, expected) = (0, 0, 0.0)
    distances.withUnsafeBufferPointer { distances in
      for (query, neighbours) in neighbours.enumerated() where !neighbours.nearest.isEmpty {
        let row = distances[query * count..<(query + 1) * count]
        let nearest = Linkage.nearest(neighbours.nearest.count, to: neighbours.record, by: row)
        guard let last = nearest.last else { continue }
        // Distances that differ by less than masked rows are rounded by are equal.
        let limit = row[row.startIndex + last] + 1e-6 * (norms[neighbours.record] + norms[last])
        right += neighbours.nearest.count { row[row.startIndex + $0] <= limit }
        claimed += neighbours.nearest.count
        expected += Double(neighbours.nearest.count) * Double(row.count { $0 <= limit } - 1) / Double(count - 1)
      }
    }
    guard claimed > 0 else { return (0, 0) }
    return (Double(right) / Double(claimed), expected / Double(claimed))
  }
}
