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

  /// - Parameter truth: the token of each row of the view.
  func measurement(truth: [Int32]) -> Measurement {
    guard let claim = withBase ?? withoutBase else {
      return Measurement(value: nil, interval: nil, chance: 0, rows: 0)
    }
    let hits = hits(claim, truth)
    let rows = claim.rows.filter { $0 < truth.count }
    let right = hits.filter { $0 }.count
    let guessed = rows.filter { truth[$0] == mostFrequent }.count
    var details = [Measurement.Detail("share of distinct tokens", distinct(claim, hits, truth))]
    if withBase != nil, let counted = withoutBase {
      let others = self.hits(counted, truth)
      details += [
        .init("share of tokens without the base checkpoint", share(others)),
        .init("share of distinct tokens without the base checkpoint", distinct(counted, others, truth)),
      ]
    }
    return Measurement(
      value: share(hits), interval: .wilson(successes: right, trials: hits.count),
      chance: Double(guessed) / Double(max(1, rows.count)), rows: rows.count, details: details)
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
