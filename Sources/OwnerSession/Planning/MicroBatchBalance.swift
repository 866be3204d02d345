/// Deals the samples of a batch out to its micro-batches so that all of these have about as many tokens: ranks that work on different ones then
/// come to the end of a step together. What a batch consists of stays, and so does its gradient.
package struct MicroBatchBalance: Sendable {
  private let microBatch: Int
  /// Of each row of the file.
  private let tokens: [Int32]

  /// - Parameters:
  ///   - microBatch: samples of a micro-batch, at least 1; the last of a batch may have fewer.
  ///   - tokens: of each row of the file.
  package init(microBatch: Int, tokens: [Int32]) {
    self.microBatch = microBatch
    self.tokens = tokens
  }

  /// The places of `rows`, one micro-batch after the other and within each in their own order.
  ///
  /// The longest first, each goes to the micro-batch that has the fewest tokens of those with room (Graham, SIAM J. Appl. Math. 17, 1969,
  /// with a bound on their number).
  ///
  /// - Parameter rows: of the file, of one batch.
  package func places(_ rows: some RandomAccessCollection<Int32>) -> [Int] {
    let lengths = rows.map { Int(tokens[Int($0)]) }
    var parts = stride(from: 0, to: lengths.count, by: microBatch).map { start in
      (room: min(microBatch, lengths.count - start), tokens: 0, places: [Int]())
    }
    for place in lengths.indices.sorted(by: { (lengths[$1], $0) < (lengths[$0], $1) }) {
      guard
        let least = parts.indices.filter({ parts[$0].room > 0 }).min(by: { parts[$0].tokens < parts[$1].tokens })
      else { break }
      parts[least].room -= 1
      parts[least].tokens += lengths[place]
      parts[least].places.append(place)
    }
    return parts.flatMap { $0.places.sorted() }
  }
}
