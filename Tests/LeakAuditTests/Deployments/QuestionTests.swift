import Foundation
import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// Questions that come again, and sessions of generation.
@Suite struct QuestionTests {
  private func traits(_ task: LearningTask) -> JobTraits {
    var traits = JobTraits.sample()
    traits.task = task
    return traits
  }

  private func evidence(
    _ rows: Tensor<Float>, lengths: [Int32]? = nil, deployment: DeploymentView, truth: DeploymentTruth,
    task: LearningTask = .classification
  ) -> Evidence {
    let view = ProviderView(
      inputs: rows, lengths: lengths, groups: [SpaceID("input"): .orthogonal], input: SpaceID("input"), parameters: [],
      initialWeights: [], finalWeights: [], outputs: Tensor(zeros: [0, 1]), targets: .gradients(Tensor(zeros: [0, 1])),
      deployment: deployment)
    // Distances under a rotation are those of the plaintext, which stands here for what is masked.
    let truth = OwnerTruth(
      rows: rows, tokens: nil, positions: nil, labels: .classes([]), inputKey: SyntheticView.identity(rows.columns),
      deployment: truth)
    return Evidence(
      masked: view, control: view, truth: truth, controlTruth: truth,
      knowledge: PublicKnowledge(sampleRows: rows, sampleTexts: nil, baseWeights: nil, vocabulary: nil),
      traits: traits(task), shadows: nil)
  }

  /// 200 rows, then 50 of them again and 50 others, each with noise of its own.
  private func repeated(noise: Float) throws -> LeakAudit.Measurement {
    var random = SplitMix(seed: 1)
    let key: Tensor<Float> = try SyntheticView.rotation(20, random: &random).converted()
    let plain = SyntheticRows.gaussian(250, 20, random: &random)
    func noised(_ rows: Tensor<Float>, _ random: inout SplitMix) -> Tensor<Float> {
      var result = rows.times(key, otherTransposed: true, compute: CopyScene.compute)
      for index in 0..<result.count where noise > 0 { result[index] += noise * Float(RecordScene.normal(&random)) }
      return result
    }
    let first = noised(plain.slice(rows: 0..<200), &random)
    let later = noised(plain.selecting(rows: Array(0..<50) + Array(200..<250)), &random)
    return try RecordScene.measure(
      RepeatedQuestions(compute: CopyScene.compute),
      on: evidence(
        first,
        deployment: DeploymentView(
          otherWeights: nil, leagueKey: nil, later: LaterQuestions(inputs: later, lengths: nil)),
        truth: DeploymentTruth(repeats: Array(0..<50) + [Int](repeating: -1, count: 50))), &random)
  }

  @Test func equalQuestionsAreLinkedAll() throws {
    let measurement = try repeated(noise: 0)
    #expect(measurement.value == 1)
    #expect(measurement.chance == 1.0 / 200)
    #expect(measurement.detail("share that are equal to rounding") == 1)
    #expect(measurement.detail("share nearer to their first than any new question is to another") == 1)
  }

  /// Two rows of variance 1 in 20 columns are 40 apart in squares, and the same row under two noises of a tenth 0.4: none is mistaken.
  @Test func littleNoiseDoesNotKeepThemApart() throws {
    let measurement = try repeated(noise: 0.1)
    #expect(measurement.value == 1)
    #expect(measurement.detail("share that are equal to rounding") == 0)
  }

  /// Noise of five deviations: 1,000 for the same row and 1,040 for others, with a deviation of 300 each: the nearest of 200 is hardly ever the right one.
  @Test func muchNoiseDoes() throws {
    let measurement = try repeated(noise: 5)
    #expect(try #require(measurement.value) < 0.15)
  }

  /// Samples of three tokens, sent again in another order.
  @Test func samplesAreLinkedWhateverTheOrderOfTheirTokens() throws {
    var random = SplitMix(seed: 2)
    let rows = SyntheticRows.gaussian(90, 8, random: &random)
    let places: [Int] = (0..<10).flatMap { sample -> [Int] in [2, 0, 1].map { 3 * sample + $0 } }
    let later = rows.selecting(rows: places)
    let lengths = [Int32](repeating: 3, count: 30)
    let measurement = try RecordScene.measure(
      RepeatedQuestions(compute: CopyScene.compute),
      on: evidence(
        rows, lengths: lengths,
        deployment: DeploymentView(
          otherWeights: nil, leagueKey: nil,
          later: LaterQuestions(inputs: later, lengths: [Int32](repeating: 3, count: 10))),
        truth: DeploymentTruth(repeats: Array(0..<10), lengths: lengths)), &random)
    #expect(measurement.value == 1)
    #expect(measurement.chance == 1.0 / 30)
  }

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
      evidence(
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
    let other = evidence(
      rotated.truth.rows, deployment: DeploymentView(otherWeights: nil, leagueKey: nil), truth: DeploymentTruth())
    let nothing = #expect(throws: Inapplicable.self) {
      try Self.cache.knowledge(of: other, truth: other.truth, random: &random)
    }
    #expect(nothing?.hasNothingToFind == true)
  }
}
