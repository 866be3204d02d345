import Foundation
import Tensors

/// Tells the tokens of a decoder's rows apart without its checkpoint: each distinct vector stands for one token, as in a substitution
/// cipher, and the order of a sample is visible.
///
/// Likelihood of how many of them samples have (`BagMatching`) and of what follows what. The graphs of bigrams are matched (`RelaxedMatching`),
/// then pairs exchanged as long as that fits better (Jakobsen, "A fast method for cryptanalysis of substitution ciphers", Cryptologia 19,
/// 1995).
struct BigramMatching: Sendable {
  /// Distinct vectors and public tokens that take part, the most frequent ones; tables have the square of it.
  var limit = 1024
  /// Of those, matched as a whole first.
  var relaxed = 512
  /// Passes over all exchanges at most.
  var passes = 30
  let workers: Workers

  /// - Parameters:
  ///   - clusters: of all rows.
  ///   - lengths: rows of each sample.
  /// - Returns: a token for each cluster; −1 for those that are too rare to tell.
  func tokens(
    _ clusters: VectorClusters, lengths: [Int], texts: [[Int32]], until deadline: Deadline
  ) -> [Int32] {
    var result = [Int32](repeating: -1, count: clusters.count)
    let candidates = BagMatching.frequent(texts, limit: limit)
    // Slots stand for tokens: first the candidates, then what public texts do not have.
    let size = max(candidates.count, min(limit, clusters.count))
    guard size > 0, !candidates.isEmpty else { return result }
    let top = min(size, clusters.count)
    let bag = BagMatching(workers: workers)
    let single = bag.scores(clusters, top, candidates, slots: size, lengths: lengths, texts: texts)
    let likelihood = BigramLikelihood(candidates, texts: texts, size: size)
    let links = BigramLinks(clusters, lengths: lengths, size: size)
    let first = relaxed(links, likelihood, single, size: size, until: deadline)
    let slots = climb(links, likelihood, single, from: first, size: size, until: deadline)
    for cluster in 0..<top where slots[cluster] < candidates.count { result[cluster] = candidates[slots[cluster]] }
    return result
  }

  /// The slots of clusters: the most frequent clusters matched among themselves, the others in order in what is left.
  private func relaxed(
    _ links: BigramLinks, _ likelihood: BigramLikelihood, _ single: Tensor<Double>, size: Int, until deadline: Deadline
  ) -> [Int] {
    let count = min(size, relaxed)
    var (counts, scores) = (Tensor<Double>(zeros: [count, count]), Tensor<Double>(zeros: [count, count]))
    var table = counts
    for cluster in 0..<count {
      counts[cluster, cluster] = Double(links.itself[cluster])
      for link in links.after[cluster] where link.other < count { counts[cluster, link.other] = Double(link.count) }
      for slot in 0..<count {
        table[cluster, slot] = Double(likelihood[cluster, slot])
        if cluster < single.rows { scores[cluster, slot] = single[cluster, slot] }
      }
    }
    for link in links.after[size] where link.other < count {
      for slot in 0..<count { scores[link.other, slot] += Double(link.count * likelihood[size, slot]) }
    }
    let matching = RelaxedMatching(first: counts, second: table, single: scores, workers: workers)
    let start = KeyRefinement.assignment(scores)
    return matching.match(from: start, until: deadline) + Array(count..<size)
  }

  private func climb(
    _ links: BigramLinks, _ likelihood: BigramLikelihood, _ single: Tensor<Double>, from first: [Int], size: Int,
    until deadline: Deadline
  ) -> [Int] {
    // The start of a text stands for itself.
    var slots = first + [size]
    slots.withUnsafeMutableBufferPointer { buffer in
      let slot = buffer
      /// What the terms with `cluster` gain when it goes from its slot to that of `other`, and `other` to its.
      func gain(_ cluster: Int, _ other: Int) -> Float {
        let (old, new) = (slot[cluster], slot[other])
        var sum = links.itself[cluster] * (likelihood[new, new] - likelihood[old, old])
        if cluster < single.rows { sum += Float(single[cluster, new] - single[cluster, old]) }
        for link in links.after[cluster] {
          if link.other == other {
            sum += link.count * (likelihood[new, old] - likelihood[old, new])
          } else {
            sum += link.count * (likelihood[new, slot[link.other]] - likelihood[old, slot[link.other]])
          }
        }
        for link in links.before[cluster] where link.other != other {
          sum += link.count * (likelihood[slot[link.other], new] - likelihood[slot[link.other], old])
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
    return Array(slots.prefix(size))
  }
}
