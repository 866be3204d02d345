import Foundation
import Numerics

/// Tells tokens apart by how many of them a sample has, whatever their order.
///
/// Frequency analysis as a linear assignment by likelihood: a token's number in a sample is drawn from what public texts have of it.
struct BagMatching: Sendable {
  /// At most so many groups of rows and public tokens, the most frequent ones.
  var groups = 768
  var limit = 1024
  let compute: Compute

  /// Numbers in a sample that are told apart: 0, 1, 2, 3 and more.
  private static let levels = 4

  /// - Parameters:
  ///   - clusters: of all rows: each a token.
  ///   - hints: of each row the token that its position speaks for, −1 for none; empty where positions say nothing.
  ///   - lengths: rows of each sample.
  /// - Returns: a token for each cluster; −1 for those that are too rare to tell.
  func tokens(_ clusters: VectorClusters, hints: [Int32], lengths: [Int], texts: [[Int32]]) -> [Int32] {
    var result = [Int32](repeating: -1, count: clusters.count)
    let candidates = Self.frequent(texts, limit: limit)
    let top = min(groups, clusters.count, candidates.count)
    guard top > 0 else { return result }
    var scores = scores(clusters, top, candidates, slots: candidates.count, lengths: lengths, texts: texts)
    let number = Dictionary(uniqueKeysWithValues: candidates.enumerated().map { ($1, $0) })
    for (row, hint) in hints.enumerated() {
      guard clusters.cluster[row] < top, let column = number[hint] else { continue }
      // A hint is often wrong; it decides between what the counts leave open, as between tokens that every sample has once.
      scores[clusters.cluster[row], column] += 0.1
    }
    for (row, column) in LinearAssignment.maximum(scores).enumerated() { result[row] = candidates[column] }
    return result
  }

  /// The tokens that texts have most of, the most frequent first.
  static func frequent(_ texts: [[Int32]], limit: Int) -> [Int32] {
    var counts: [Int32: Int] = [:]
    for text in texts { for token in text { counts[token, default: 0] += 1 } }
    return counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(limit).map(\.key)
  }

  /// The logarithm of how likely it is that samples have what they have of a cluster if it is a token, `[clusters, slots]`.
  ///
  /// - Parameters:
  ///   - top: the first clusters, which the result has a row each for, at most as many as there are.
  ///   - slots: columns, at least a candidate each; the others stand for tokens that public texts do not have.
  func scores(
    _ clusters: VectorClusters, _ top: Int, _ candidates: [Int32], slots: Int, lengths: [Int], texts: [[Int32]]
  ) -> Tensor<Double> {
    var counts = Tensor<Double>(zeros: [top, Self.levels])
    var start = 0
    for length in lengths {
      var here = [Int](repeating: 0, count: top)
      for row in start..<max(start, min(start + length, clusters.cluster.count)) where clusters.cluster[row] < top {
        here[clusters.cluster[row]] += 1
      }
      for (cluster, count) in here.enumerated() { counts[cluster, min(count, Self.levels - 1)] += 1 }
      start += length
    }
    return counts.times(rates(candidates, slots: slots, texts: texts), compute: compute)
  }

  /// ln P(number in a text), `[levels, slots]`.
  private func rates(_ candidates: [Int32], slots: Int, texts: [[Int32]]) -> Tensor<Double> {
    var levels: [Int32: [Double]] = [:]
    for text in texts {
      var here: [Int32: Int] = [:]
      for token in text { here[token, default: 0] += 1 }
      for (token, count) in here {
        levels[token, default: Array(repeating: 0, count: Self.levels)][min(count, Self.levels - 1)] += 1
      }
    }
    var rates = Tensor<Double>(zeros: [Self.levels, slots])
    let weight = 0.1
    for column in 0..<slots {
      let seen = column < candidates.count ? levels[candidates[column]] : nil
      var counts = seen ?? Array(repeating: 0, count: Self.levels)
      counts[0] = Double(texts.count) - counts.dropFirst().reduce(0, +)
      for (level, count) in counts.enumerated() {
        rates[level, column] = log((count + weight) / (Double(texts.count) + weight * Double(Self.levels)))
      }
    }
    return rates
  }
}

/// Tells the tokens of an encoder's rows apart without its checkpoint: a row's vector stands for a token at a position, and those are
/// matched to the ones of public texts by how often they occur in samples of each length.
///
/// Frequency analysis of a substitution, as a linear assignment by likelihood: each pair of token and position is there or not in a sample, with a
/// rate for each length of sample.
struct PositionedTokenMatching: Sendable {
  /// At most so many vectors and pairs, the most frequent ones.
  var vectors = 768
  var pairs = 1024
  let compute: Compute

  private struct Pair: Hashable {
    let token: Int32
    let position: Int
  }

  /// - Parameters:
  ///   - clusters: of all rows.
  ///   - lengths: rows of each sample.
  ///   - texts: public samples, each token at its position.
  /// - Returns: a token for each cluster; −1 for those that are too rare to tell.
  func tokens(_ clusters: VectorClusters, lengths: [Int], texts: [[Int32]]) -> [Int32] {
    var result = [Int32](repeating: -1, count: clusters.count)
    // Samples of one length share their rates; lengths are numbered.
    let known = Array(Set(lengths)).sorted()
    let number = Dictionary(uniqueKeysWithValues: known.enumerated().map { ($1, $0) })
    var samples = [Double](repeating: 0, count: known.count)
    for length in lengths { samples[number[length] ?? 0] += 1 }
    let top = min(vectors, clusters.count)
    guard top > 0, !known.isEmpty else { return result }
    var counts = Tensor<Double>(zeros: [top, known.count])
    var start = 0
    for length in lengths {
      for index in 0..<length where start + index < clusters.cluster.count {
        let cluster = clusters.cluster[start + index]
        guard cluster < top else { continue }
        counts[cluster, number[length] ?? 0] += 1
      }
      start += length
    }
    let candidates = frequentPairs(texts)
    guard !candidates.isEmpty else { return result }
    let (presence, absence) = rates(candidates, texts: texts, lengths: known)
    // Σ over lengths of n ln r + (N − n) ln (1 − r).
    var missing = counts
    for row in 0..<top {
      for column in known.indices { missing[row, column] = max(0, samples[column] - counts[row, column]) }
    }
    var scores = counts.times(presence, compute: compute)
    scores.add(missing.times(absence, compute: compute), scaled: 1)
    if let place = Self.places(clusters, lengths: lengths) {
      for row in 0..<top where place[row] >= 0 {
        for (column, pair) in candidates.enumerated() where pair.position != place[row] { scores[row, column] -= 1e6 }
      }
    }
    let matched = min(top, candidates.count)
    for (row, column) in LinearAssignment.maximum(scores.slice(rows: 0..<matched)).enumerated() {
      result[row] = candidates[column].token
    }
    return result
  }

  /// The place in its samples of each vector that always has the same one, −1 for others; nil where samples come in no order of their own: of a
  /// vector that is seen three times it would then be another each time.
  static func places(_ clusters: VectorClusters, lengths: [Int]) -> [Int]? {
    var place = [Int](repeating: -2, count: clusters.count)
    var seen = [Int](repeating: 0, count: clusters.count)
    var start = 0
    for length in lengths {
      for index in 0..<length where start + index < clusters.cluster.count {
        let cluster = clusters.cluster[start + index]
        seen[cluster] += 1
        place[cluster] = place[cluster] == -2 || place[cluster] == index ? index : -1
      }
      start += length
    }
    let frequent = seen.indices.filter { seen[$0] >= 3 }
    guard !frequent.isEmpty, frequent.filter({ place[$0] >= 0 }).count * 10 >= frequent.count * 9 else { return nil }
    return place
  }

  private func frequentPairs(_ texts: [[Int32]]) -> [Pair] {
    var counts: [Pair: Int] = [:]
    for text in texts {
      for (position, token) in text.enumerated() { counts[Pair(token: token, position: position), default: 0] += 1 }
    }
    let order = counts.sorted {
      ($0.value, $1.key.position, $1.key.token) > ($1.value, $0.key.position, $0.key.token)
    }
    return order.prefix(pairs).map(\.key)
  }

  /// ln r and ln (1 − r), `[lengths, pairs]`: how often public texts of a length have the pair, drawn towards how often all those do that are long
  /// enough.
  private func rates(
    _ candidates: [Pair], texts: [[Int32]], lengths: [Int]
  ) -> (presence: Tensor<Double>, absence: Tensor<Double>) {
    let number = Dictionary(uniqueKeysWithValues: candidates.enumerated().map { ($1, $0) })
    let place = Dictionary(uniqueKeysWithValues: lengths.enumerated().map { ($1, $0) })
    var seen = Tensor<Double>(zeros: [lengths.count, candidates.count])
    var total = [Double](repeating: 0, count: candidates.count)
    var textsOf = [Double](repeating: 0, count: lengths.count)
    for text in texts {
      let row = place[text.count]
      if let row { textsOf[row] += 1 }
      for (position, token) in text.enumerated() {
        guard let column = number[Pair(token: token, position: position)] else { continue }
        total[column] += 1
        if let row { seen[row, column] += 1 }
      }
    }
    var longEnough: [Int: Double] = [:]
    let weight = 2.0
    var presence = Tensor<Double>(zeros: [lengths.count, candidates.count])
    var absence = presence
    for (column, pair) in candidates.enumerated() {
      let reaching = longEnough[pair.position] ?? Double(texts.filter { $0.count > pair.position }.count)
      longEnough[pair.position] = reaching
      for (row, length) in lengths.enumerated() {
        let prior = length > pair.position ? total[column] / max(1, reaching) : 0
        let rate = (seen[row, column] + weight * prior) / (textsOf[row] + weight)
        let bounded = min(max(rate, 1e-5), 1 - 1e-3)
        presence[row, column] = log(bounded)
        absence[row, column] = log(1 - bounded)
      }
    }
    return (presence, absence)
  }
}
