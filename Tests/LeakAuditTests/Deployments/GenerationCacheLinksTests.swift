import Foundation
import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// Sessions of generation: one step's outputs beside the next step's token.
@Suite struct GenerationCacheLinksTests {
  private static let vocabulary = 40

  /// Logits of a random chain, from which each next token is drawn, or is the likeliest.
  ///
  /// - Parameter isLinked: false for logits that have nothing to do with the tokens.
  private func generated(
    steps: Int, greedy: Bool, isLinked: Bool = true, group: SymmetryGroup = .permutation
  ) throws -> (evidence: Evidence, random: SplitMix) {
    var random = SplitMix(seed: 3)
    let key: Tensor<Float> = try SyntheticView.rotation(16, random: &random).converted()
    let table = SyntheticRows.gaussian(Self.vocabulary, 16, random: &random).times(
      key, otherTransposed: true, compute: CopyScene.compute)
    let order = Array(0..<Self.vocabulary).shuffled(using: &random)
    var (logits, tokens, chosen): ([Float], [Int], [Int32]) = ([], [], [])
    for _ in 0..<steps {
      let values = (0..<Self.vocabulary).map { _ in 2 * RecordScene.normal(&random) }
      let weights = values.map { exp($0) }
      var place = Double.random(in: 0..<weights.reduce(0, +), using: &random)
      var token = weights.indices.max { weights[$0] < weights[$1] } ?? 0
      if !greedy {
        token =
          weights.firstIndex {
            place -= $0
            return place < 0
          } ?? token
      }
      if !isLinked { token = Int.random(in: 0..<Self.vocabulary, using: &random) }
      // Output i of the plaintext is output order[i] of the masked ones.
      var masked = [Float](repeating: 0, count: Self.vocabulary)
      for (index, value) in values.enumerated() { masked[order[index]] = Float(value) }
      logits += masked
      tokens.append(token)
      chosen.append(Int32(order[token]))
    }
    let generation = GenerationView(
      logits: Tensor(logits, shape: [steps, Self.vocabulary]), tokens: table.selecting(rows: tokens),
      outputGroup: group)
    return (
      QuestionScene.evidence(
        table, deployment: DeploymentView(otherWeights: nil, leagueKey: nil, generation: generation),
        truth: DeploymentTruth(chosen: chosen), task: .causalLanguageModel), random
    )
  }

  private static let cache = GenerationCacheLinks(compute: CopyScene.compute)

  /// The likeliest output is the next token, whatever the keys.
  @Test func greedyGenerationLinksBothKeys() throws {
    var (evidence, random) = try generated(steps: 200, greedy: true)
    let measurement = try RecordScene.measure(Self.cache, on: evidence, &random)
    #expect(measurement.value == 1)
    #expect(measurement.detail("share of generated tokens") == 1)
    let linked = try #require(measurement.detail("vocabulary entries linked"))
    #expect(linked > 30 && measurement.curve?.points.last?.y == linked && measurement.curve?.points.first?.y == 1)
    #expect(Self.cache.meaning(of: measurement, evidence: evidence).contains("under both keys"))
  }

  /// Of 1,000 draws a token has some 25; at each its true entry is likelier than another by the mean of a divergence, about 4 for logits of deviation
  /// 2: the sum of 25 is beyond mistake, and only tokens that are drawn a time or two are left.
  @Test func drawnTokensAreLinkedAsWell() throws {
    var (evidence, random) = try generated(steps: 1000, greedy: false)
    #expect(try #require(RecordScene.measure(Self.cache, on: evidence, &random).value) > 0.9)
  }

  /// To defeat it: tokens that do not follow from the logits. One of forty is right by chance.
  @Test func unrelatedTokensAreNotLinked() throws {
    var (evidence, random) = try generated(steps: 500, greedy: false, isLinked: false)
    let measurement = try RecordScene.measure(Self.cache, on: evidence, &random)
    #expect(try #require(measurement.value) < 0.2)
  }

  @Test func whereItDoesNotApply() throws {
    var (rotated, random) = try generated(steps: 5, greedy: true, group: .orthogonal)
    let refusal = #expect(throws: Inapplicable.self) {
      try Self.cache.knowledge(of: rotated, truth: rotated.truth, random: &random)
    }
    #expect(refusal?.hasNothingToFind == false)
    let other = QuestionScene.evidence(
      rotated.truth.rows, deployment: DeploymentView(otherWeights: nil, leagueKey: nil), truth: DeploymentTruth())
    let nothing = #expect(throws: Inapplicable.self) {
      try Self.cache.knowledge(of: other, truth: other.truth, random: &random)
    }
    #expect(nothing?.hasNothingToFind == true)
  }
}
