import Models
package import Numerics

/// Tells which token each masked row is: with the base checkpoint by the nearest vector of its vocabulary after unmasking with the key that the
/// weights give, without it by how often rows repeat.
///
/// Thomas et al., "An attack to break permutation-based private third-party inference schemes for LLMs", arXiv 2505.18332, 2025: hidden states are
/// matched to those of every token of the vocabulary.
package struct TokenMatching: Attack {
  package struct Knowledge: Sendable {
    /// Tokens of public texts of the same kind; empty where there are none.
    package let texts: [[Int32]]
    /// The checkpoint; nil where it is not public.
    package let base: Base?
    package struct Base: Sendable {
      package let weights: BaseWeights.Knowledge
      package let vocabulary: TokenVocabulary
    }
  }

  package static let facts = AttackFacts(
    kind: .tokenMatching, title: "Token matching",
    knowledge: "texts of the same kind; the base checkpoint with its vocabulary, where that is public",
    metric: "share of tokens recovered", isWorseWhenHigher: true,
    source: "Thomas et al. 2025; Jakobsen 1995; Vogelstein et al. 2015")

  private let compute: Compute
  private let alignment: ResidualAlignment
  /// Rows that are compared with the whole vocabulary, at most.
  package var rows = 1024
  /// Rows whose repetitions are looked for, at most: the first ones, in whole samples.
  package var repeated = 4096

  package init(compute: Compute) {
    self.compute = compute
    alignment = ResidualAlignment(compute: compute)
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    guard truth.tokens != nil else { throw Inapplicable(nothingToFind: "the rows are features, not tokens") }
    var base: Knowledge.Base?
    if let weights = evidence.knowledge.baseWeights, let vocabulary = evidence.knowledge.vocabulary,
      vocabulary.words.columns == evidence.masked.inputs.columns,
      ResidualAlignment.applies(to: evidence.masked, base: weights)
    {
      base = Knowledge.Base(
        weights: BaseWeights.Knowledge(weights: weights, group: evidence.masked.inputGroup), vocabulary: vocabulary)
    }
    let texts = evidence.knowledge.sampleTexts?.filter { !$0.isEmpty } ?? []
    guard base != nil || !texts.isEmpty else {
      throw Inapplicable("neither the base checkpoint nor texts of the same kind are public")
    }
    return Knowledge(texts: texts, base: base)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) -> TokenClaim {
    let common = BagMatching.frequent(knowledge.texts, limit: 1).first ?? -1
    var matched: TokenClaim.Tokens?
    if let base = knowledge.base {
      let chosen = Array((0..<view.inputs.rows).shuffled(using: &random).prefix(rows)).sorted()
      let key = alignment.key(
        of: view, base: base.weights.weights, group: base.weights.group, random: &random, until: deadline)
      // A key that explains little of the weights is of another base; repetitions then tell more.
      if let key, key.agreement > 0.5 || knowledge.texts.isEmpty {
        matched = .init(
          rows: chosen,
          tokens: nearest(view, chosen, key, base.vocabulary, until: deadline).map { $0 < 0 ? common : $0 })
      }
    }
    var counted: TokenClaim.Tokens?
    if !knowledge.texts.isEmpty, !deadline.hasPassed {
      let tokens = repetitions(view, knowledge, until: deadline)
      // What cannot be told is guessed: the most frequent token is right most often.
      counted = .init(rows: Array(tokens.indices), tokens: tokens.map { $0 < 0 ? common : $0 })
    }
    return TokenClaim(withBase: matched, withoutBase: counted, mostFrequent: common, lengths: view.lengths)
  }

  private func nearest(
    _ view: ProviderView, _ chosen: [Int], _ key: ResidualAlignment.Key, _ vocabulary: TokenVocabulary,
    until deadline: Deadline
  ) -> [Int32] {
    var plain = view.inputs.selecting(rows: chosen).times(key.matrix.converted(to: Float.self), compute: compute)
    let longest = view.lengths?.max().map(Int.init) ?? 1
    let search = NearestVocabulary(vocabulary, positions: longest, compute: compute)
    let first = search.match(plain, until: deadline)
    if key.hasSign { return first.tokens }
    plain.withUnsafeMutableBufferPointer { entries in for index in entries.indices { entries[index] = -entries[index] }
    }
    let second = search.match(plain, until: deadline)
    return second.isComplete && second.score > first.score ? second.tokens : first.tokens
  }

  /// A token for each of the first rows; −1 where it cannot be told.
  private func repetitions(_ view: ProviderView, _ knowledge: Knowledge, until deadline: Deadline) -> [Int32] {
    var (lengths, count) = ([Int](), 0)
    for length in view.lengths?.map(Int.init) ?? [view.inputs.rows] {
      if count + length > min(repeated, view.inputs.rows), count > 0 { break }
      lengths.append(length)
      count += length
    }
    count = min(count, view.inputs.rows)
    let rows = view.inputs.slice(rows: 0..<count)
    let clusters = VectorClusters(rows, compute: compute)
    // Then a row is a token, whatever its position, and samples come in their own order, which those layers need.
    if view.isRotary {
      let tokens = BigramMatching(compute: compute).tokens(
        clusters, lengths: lengths, texts: knowledge.texts, until: deadline)
      return clusters.cluster.map { tokens[$0] }
    }
    let groups = clusters.merged(rows, compute: compute)
    if PositionedTokenMatching.places(clusters, lengths: lengths) != nil {
      let tokens = BigramMatching(compute: compute).tokens(
        groups, lengths: lengths, texts: knowledge.texts, until: deadline)
      return groups.cluster.map { tokens[$0] }
    }
    let pairs = PositionedTokenMatching(compute: compute).tokens(clusters, lengths: lengths, texts: knowledge.texts)
    let tokens = BagMatching(compute: compute).tokens(
      groups, hints: groups.count < clusters.count ? clusters.cluster.map { pairs[$0] } : [], lengths: lengths,
      texts: knowledge.texts)
    return groups.cluster.map { tokens[$0] }
  }

  package func score(_ claim: TokenClaim, truth: OwnerTruth) -> Measurement {
    claim.measurement(truth: truth.tokens ?? [])
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "No token was matched in the time there was." }
    let share = "\(ReportNumber.percent(value)) % of the tokens"
    let isPublic = evidence.knowledge.baseWeights != nil && evidence.knowledge.vocabulary != nil
    if measurement.details.contains(where: { $0.name == TokenClaim.shareWithBase }) {
      return
        "Even without the base checkpoint \(share) are told from how often rows repeat and what they stand beside, which is more than "
        + "the checkpoint gave."
    }
    if isPublic, value > 0.5 {
      return "Whoever has the base checkpoint reads \(share) of every text: the masking does not hide texts from them."
    }
    if value > 2 * (measurement.chance ?? 0) + 0.02 {
      return isPublic
        ? "With the base checkpoint \(share) are read from the masked rows."
        : "Even without the base checkpoint \(share) are told from how often rows repeat and what they stand beside."
    }
    return "About as many tokens were told as by always guessing the most frequent one."
  }
}

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

  /// The details of the other claim, where there are two.
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
