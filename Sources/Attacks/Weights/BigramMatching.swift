import Foundation
import Tensors

/// Tells the tokens of a decoder's rows apart without its checkpoint: each distinct vector stands for one token, as in a substitution
/// cipher, and the order of a sample is visible.
///
/// Starts from the order of frequency and exchanges pairs as long as the public bigrams fit better (Jakobsen, "A fast method for cryptanalysis of
/// substitution ciphers", Cryptologia 19, 1995, section 3).
struct BigramMatching: Sendable {
  /// Distinct vectors and public tokens that take part, the most frequent ones; tables have the square of it.
  var limit = 1024
  /// Passes over all exchanges at most.
  var passes = 30

  /// - Parameters:
  ///   - clusters: of all rows.
  ///   - lengths: rows of each sample.
  /// - Returns: a token for each cluster; −1 for those that are too rare to tell.
  func tokens(
    _ clusters: VectorClusters, lengths: [Int], texts: [[Int32]], until deadline: Deadline
  ) -> [Int32] {
    var result = [Int32](repeating: -1, count: clusters.count)
    let candidates = frequentTokens(texts)
    // Slots stand for tokens; clusters without one get the rest, and the last slot is what nothing else is.
    let size = min(limit, max(candidates.count, min(limit, clusters.count)))
    guard size > 0, !candidates.isEmpty else { return result }
    let likelihood = likelihoods(candidates, texts: texts, size: size)
    let links = links(clusters, lengths: lengths, size: size)
    let assignment = climb(links, likelihood, size: size, until: deadline)
    for cluster in 0..<min(size, clusters.count) where assignment[cluster] < candidates.count {
      result[cluster] = candidates[assignment[cluster]]
    }
    return result
  }

  private func frequentTokens(_ texts: [[Int32]]) -> [Int32] {
    var counts: [Int32: Int] = [:]
    for text in texts { for token in text { counts[token, default: 0] += 1 } }
    return counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(limit).map(\.key)
  }

  /// ln P(token, next), `[size + 1, size]`, row `size` the start of a text: bigrams counted, smoothed by the tokens' own frequencies.
  private func likelihoods(_ candidates: [Int32], texts: [[Int32]], size: Int) -> [Float] {
    let number = Dictionary(uniqueKeysWithValues: candidates.enumerated().map { ($1, $0) })
    var counts = [Double](repeating: 0, count: (size + 1) * size)
    var singles = [Double](repeating: 0.5, count: size)
    var froms = [Double](repeating: 0, count: size + 1)
    for text in texts {
      var before: Int? = size
      for token in text {
        let slot = number[token]
        if let slot {
          singles[slot] += 1
          if let before {
            counts[before * size + slot] += 1
            froms[before] += 1
          }
        }
        before = slot
      }
    }
    let whole = singles.reduce(0, +)
    var result = [Float](repeating: 0, count: counts.count)
    let weight = 5.0
    for from in 0...size {
      // The first of a pair counts by its own frequency; a start is always one.
      let own = from < size ? log(singles[from] / whole) : 0
      for to in 0..<size {
        let rate = (counts[from * size + to] + weight * singles[to] / whole) / (froms[from] + weight)
        result[from * size + to] = Float(own + log(rate))
      }
    }
    return result
  }

  /// How often each cluster is followed by each other, those with neither beyond `size`.
  private struct Links {
    var after: [[(other: Int, count: Float)]]
    var before: [[(other: Int, count: Float)]]
    var itself: [Float]
  }

  private func links(_ clusters: VectorClusters, lengths: [Int], size: Int) -> Links {
    var counts: [Int: Float] = [:]
    var start = 0
    for length in lengths {
      var before = size
      for row in start..<min(start + length, clusters.cluster.count) {
        let cluster = clusters.cluster[row]
        if cluster < size, before <= size { counts[before * size + cluster, default: 0] += 1 }
        before = cluster < size ? cluster : size + 1
      }
      start += length
    }
    var links = Links(
      after: Array(repeating: [], count: size + 1), before: Array(repeating: [], count: size),
      itself: Array(repeating: 0, count: size))
    for (pair, count) in counts.sorted(by: { $0.key < $1.key }) {
      let (from, to) = (pair / size, pair % size)
      if from == to {
        links.itself[from] = count
      } else {
        links.after[from].append((to, count))
        links.before[to].append((from, count))
      }
    }
    return links
  }

  /// The slot of each cluster.
  private func climb(_ links: Links, _ likelihood: [Float], size: Int, until deadline: Deadline) -> [Int] {
    // The start of a text stands for itself.
    var slot = Array(0...size)
    likelihood.withUnsafeBufferPointer { likelihood in
      slot.withUnsafeMutableBufferPointer { slot in
        /// What the terms with `cluster` gain when it goes from its slot to `new` and the one there, `other`, to its.
        func gain(_ cluster: Int, _ other: Int) -> Float {
          let (old, new) = (slot[cluster], slot[other])
          var sum = links.itself[cluster] * (likelihood[new * size + new] - likelihood[old * size + old])
          for link in links.after[cluster] {
            if link.other == other {
              sum += link.count * (likelihood[new * size + old] - likelihood[old * size + new])
            } else {
              let next = slot[link.other]
              sum += link.count * (likelihood[new * size + next] - likelihood[old * size + next])
            }
          }
          for link in links.before[cluster] where link.other != other {
            let from = slot[link.other]
            sum += link.count * (likelihood[from * size + new] - likelihood[from * size + old])
          }
          return sum
        }
        for _ in 0..<passes {
          var exchanges = 0
          for distance in 1..<max(2, size) {
            if deadline.hasPassed { return }
            for cluster in 0..<max(0, size - distance) {
              let other = cluster + distance
              guard gain(cluster, other) + gain(other, cluster) > 1e-3 else { continue }
              slot.swapAt(cluster, other)
              exchanges += 1
            }
          }
          if exchanges == 0 { return }
        }
      }
    }
    return Array(slot.prefix(size))
  }
}
