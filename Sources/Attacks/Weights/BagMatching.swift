import Foundation
import Tensors

/// Tells tokens apart by how many of them a sample has, whatever their order.
///
/// Frequency analysis as a linear assignment by likelihood: a token's number in a sample is drawn from what public texts have of it.
struct BagMatching: Sendable {
  /// At most so many groups of rows and public tokens, the most frequent ones.
  var groups = 768
  var limit = 1024
  let workers: Workers

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
    return counts.times(rates(candidates, slots: slots, texts: texts), workers: workers)
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
