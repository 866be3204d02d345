/// Which tokens an attack says the rows are.
package struct TokenClaim: Sendable {
  /// `tokens[i]` of row `rows[i]` of the view.
  package struct Tokens: Sendable {
    package let rows: [Int]
    package let tokens: [Int32]
  }

  /// By the vocabulary of the base checkpoint; nil where it is not public, or no key was found.
  package let withBase: Tokens?
  /// By repetitions alone; nil without public texts.
  package let withoutBase: Tokens?
  /// The most frequent token of the public texts: what a guess says of every row. −1 where there are no texts.
  package let mostFrequent: Int32
  /// Rows of each sample; nil where each is one.
  package let lengths: [Int32]?

  /// The details that tell of the other claim, where there are two.
  static let shareWithBase = "share of tokens with the base checkpoint"
  private static let shareWithoutBase = "share of tokens without the base checkpoint"

  /// Of the claim that recovered more: whoever has the checkpoint can leave it aside.
  ///
  /// - Parameter truth: the token of each row of the view.
  func measurement(truth: [Int32]) -> Measurement {
    guard var claim = withBase ?? withoutBase else {
      return Measurement(value: nil, interval: nil, chance: 0, rows: 0)
    }
    var hits = hits(claim, truth)
    var other: (name: String, claim: Tokens, hits: [Bool])?
    if withBase != nil, let counted = withoutBase {
      let found = self.hits(counted, truth)
      if share(found) > share(hits) {
        other = (Self.shareWithBase, claim, hits)
        (claim, hits) = (counted, found)
      } else {
        other = (Self.shareWithoutBase, counted, found)
      }
    }
    let rows = claim.rows.filter { $0 < truth.count }
    let guessed = rows.filter { truth[$0] == mostFrequent }.count
    var details = [Measurement.Detail("share of distinct tokens", distinct(claim, hits, truth))]
    if let other {
      details += [
        .init(other.name, share(other.hits)),
        .init(
          other.name.replacing("share of tokens", with: "share of distinct tokens"),
          distinct(other.claim, other.hits, truth)),
      ]
    }
    return Measurement(
      value: share(hits), interval: interval(rows, hits, truth),
      chance: Double(guessed) / Double(max(1, rows.count)), rows: rows.count, details: details)
  }

  /// Tokens of a sample are right or wrong together, and so are all places of a token: the wider of what either leaves.
  private func interval(_ rows: [Int], _ hits: [Bool], _ truth: [Int32]) -> Interval? {
    guard !hits.isEmpty else { return nil }
    let samples = lengths.map { lengths in
      lengths.enumerated().flatMap { [Int](repeating: $0.offset, count: Int($0.element)) }
    }
    func groups(_ group: (Int) -> Int) -> [(right: Int, all: Int)] {
      var tally: [Int: (right: Int, all: Int)] = [:]
      for (row, hit) in zip(rows, hits) {
        tally[group(row), default: (0, 0)].all += 1
        if hit { tally[group(row), default: (0, 0)].right += 1 }
      }
      return tally.sorted { $0.key < $1.key }.map(\.value)
    }
    let bySample = Interval.wilson(
      groups: groups { row in samples.map { row < $0.count ? $0[row] : -1 } ?? row })
    return bySample.union(.wilson(groups: groups { Int(truth[$0]) }))
  }

  private func hits(_ claim: Tokens, _ truth: [Int32]) -> [Bool] {
    zip(claim.rows, claim.tokens).filter { $0.0 < truth.count }.map { truth[$0.0] == $0.1 }
  }

  private func share(_ hits: [Bool]) -> Double {
    Double(hits.filter { $0 }.count) / Double(max(1, hits.count))
  }

  /// Tokens at least half of whose rows are right.
  private func distinct(_ claim: Tokens, _ hits: [Bool], _ truth: [Int32]) -> Double {
    var tally: [Int32: (right: Int, all: Int)] = [:]
    for (row, hit) in zip(claim.rows.filter { $0 < truth.count }, hits) {
      tally[truth[row], default: (0, 0)].all += 1
      if hit { tally[truth[row], default: (0, 0)].right += 1 }
    }
    let known = tally.values.filter { 2 * $0.right >= $0.all }.count
    return Double(known) / Double(max(1, tally.count))
  }
}
