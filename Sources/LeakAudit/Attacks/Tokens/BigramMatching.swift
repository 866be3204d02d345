import Foundation
import Numerics

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
  let compute: Compute

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
    let bag = BagMatching(compute: compute)
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
    let matching = RelaxedMatching(first: counts, second: table, single: scores, compute: compute)
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

/// ln P(next | token) in public texts, counted and smoothed by the tokens' own frequencies.
struct BigramLikelihood: Sendable {
  /// `[size + 1, size]`: the last row is the start of a text.
  private let table: [Float]
  private let size: Int

  /// - Parameter size: at least as many as candidates; those beyond stand for tokens that texts do not have.
  init(_ candidates: [Int32], texts: [[Int32]], size: Int) {
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
    var table = [Float](repeating: 0, count: counts.count)
    let weight = 5.0
    for from in 0...size {
      for to in 0..<size {
        let rate = (counts[from * size + to] + weight * singles[to] / whole) / (froms[from] + weight)
        table[from * size + to] = Float(log(rate))
      }
    }
    self.table = table
    self.size = size
  }

  /// `from` may be `size`, the start.
  subscript(from: Int, to: Int) -> Float { table[from * size + to] }
}

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

/// Matches the nodes of two weighted graphs: the permutation P with the largest tr(Cᵀ P L Pᵀ) + tr(Sᵀ P), or a good one.
///
/// Frank and Wolfe's method over doubly stochastic P, rounded at the end: Vogelstein et al., "Fast approximate quadratic programming for graph
/// matching", PLoS ONE 10, 2015. Between permutations it passes local maxima that exchanges of two nodes do not leave.
struct RelaxedMatching: Sendable {
  /// `[k, k]`: edges of the first graph, of the second, and scores of single nodes.
  let first: Tensor<Double>
  let second: Tensor<Double>
  let single: Tensor<Double>
  let compute: Compute
  var steps = 40

  /// - Parameter start: what is half of the first P; the other half says nothing.
  func match(from start: [Int], until deadline: Deadline) -> [Int] {
    let size = first.rows
    guard size > 1 else { return start }
    var matching = Tensor<Double>(repeating: 0.5 / Double(size), shape: [size, size])
    for (row, column) in start.enumerated() { matching[row, column] += 0.5 }
    var slope = slope(matching)
    for _ in 0..<steps where !deadline.hasPassed {
      var gradient = slope
      gradient.add(single, scaled: 1)
      var direction = KeyRefinement.key(KeyRefinement.assignment(gradient))
      let target = self.slope(direction)
      direction.add(matching, scaled: -1)
      let gain = gradient.product(direction)
      guard gain > 1e-9 * abs(gradient.product(matching)) else { break }
      var bend = target
      bend.add(slope, scaled: -1)
      let curvature = bend.product(direction) / 2
      let length = curvature < 0 ? min(1, -gain / (2 * curvature)) : 1
      matching.add(direction, scaled: length)
      slope.add(bend, scaled: length)
    }
    return KeyRefinement.assignment(matching)
  }

  /// C P Lᵀ + Cᵀ P L.
  private func slope(_ matching: Tensor<Double>) -> Tensor<Double> {
    var result = first.times(matching.times(second, otherTransposed: true, compute: compute), compute: compute)
    result.add(
      first.times(matching.times(second, compute: compute), transposed: true, compute: compute), scaled: 1)
    return result
  }
}
