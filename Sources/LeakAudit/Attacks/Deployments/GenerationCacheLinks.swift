import Foundation
import Models
package import Numerics

/// Links the two keys of a language model at work: the masked logits of one step say which entry of the permuted vocabulary was likely, and the
/// masked token of the next step, which lies in the cache as its keys and values, is the one that was chosen.
package struct GenerationCacheLinks: Attack {
  package typealias Knowledge = Void

  package struct Claim: Sendable {
    /// Of each step the entry of the permuted vocabulary that its masked token is said to be.
    package let entries: [Int32]
    package let vocabulary: Int
  }

  package static let facts = AttackFacts(
    kind: .generationCache, title: "Cache of generation", knowledge: "nothing",
    metric: "share of the generated vocabulary whose masked tokens are linked to their masked outputs",
    isWorseWhenHigher: true,
    source: "likelihood of a choice by the logits it was drawn from; Jakobsen 1995 for the cipher that it leaves")
  /// Steps that are compared with each other at most.
  private static let maxSteps = 4096

  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) {
    guard evidence.traits.task == .causalLanguageModel else {
      throw Inapplicable(nothingToFind: "the model generates nothing")
    }
    guard let generation = evidence.masked.deployment?.generation, generation.logits.rows > 0 else {
      throw Inapplicable("nothing was generated in the time there was")
    }
    guard generation.outputGroup <= .permutation else {
      throw Inapplicable(
        "under a key of the outputs with signs or rotations no output is a token's own, and logits and tokens were not compared otherwise"
      )
    }
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Void, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) -> Claim {
    guard let generation = view.deployment?.generation else { return Claim(entries: [], vocabulary: 0) }
    let steps = min(Self.maxSteps, generation.logits.rows)
    let clusters = VectorClusters(generation.tokens.slice(rows: 0..<steps), compute: compute)
    let width = generation.logits.columns
    // Σ over a token's steps of the logarithm of each entry's probability.
    var scores = Tensor<Double>(zeros: [clusters.count, width])
    for step in 0..<steps {
      if deadline.hasPassed { break }
      let row = clusters.cluster[step]
      let logits = (0..<width).map { Double(generation.logits[step, $0]) }
      let largest = logits.max() ?? 0
      let sum = log(logits.reduce(0) { $0 + exp($1 - largest) }) + largest
      for (entry, logit) in logits.enumerated() { scores[row, entry] += logit - sum }
    }
    let best = (0..<clusters.count).map { row in
      Int32((0..<width).max { scores[row, $0] < scores[row, $1] } ?? 0)
    }
    return Claim(entries: (0..<steps).map { best[clusters.cluster[$0]] }, vocabulary: width)
  }

  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let chosen = (truth.deployment?.chosen ?? []).prefix(claim.entries.count)
    var tally: [Int32: (right: Int, all: Int, first: Int)] = [:]
    var hits = 0
    for (step, (entry, token)) in zip(claim.entries, chosen).enumerated() {
      tally[token, default: (0, 0, step)].all += 1
      guard entry == token else { continue }
      tally[token, default: (0, 0, step)].right += 1
      hits += 1
    }
    // A token half of whose steps are right is linked.
    let linked = tally.values.filter { 2 * $0.right > $0.all }
    let firsts = linked.map(\.first).sorted()
    let points = sequence(first: 1) { $0 * 2 }.prefix { $0 < chosen.count } + [chosen.count]
    return Measurement(
      value: Double(linked.count) / Double(max(1, tally.count)),
      interval: .wilson(successes: linked.count, trials: max(1, tally.count)),
      chance: 1 / Double(max(1, claim.vocabulary)), rows: chosen.count,
      details: [
        .init("vocabulary entries linked", Double(linked.count)),
        .init("share of the whole vocabulary", Double(linked.count) / Double(max(1, claim.vocabulary))),
        .init("share of generated tokens", Double(hits) / Double(max(1, chosen.count))),
      ],
      curve: Curve(
        horizontal: "generated tokens", vertical: "vocabulary entries linked", isLogarithmic: true,
        points: points.map { count in
          Curve.Point(x: Double(count), y: Double(firsts.filter { $0 < count }.count))
        }))
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    let linked = measurement.details.first { $0.name == "vocabulary entries linked" }?.value ?? 0
    guard let value = measurement.value, value > 2 * (measurement.chance ?? 0) + 0.02 else {
      return "Masked logits and masked tokens were not linked, which proves nothing about a better comparison."
    }
    return
      "After \(measurement.rows) generated tokens the host has \(Int(linked)) entries of the vocabulary under both keys: for these it knows which "
      + "masked output belongs to which masked token, can go on with any session by itself, and one key opens the other. What is left of the text "
      + "is one substitution cipher, for inputs and outputs alike."
  }
}
