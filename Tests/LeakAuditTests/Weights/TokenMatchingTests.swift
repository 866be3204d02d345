import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

@Suite struct TokenMatchingTests {
  private static let attack = TokenMatching(compute: SmallTransformer.compute)

  private func measure(_ evidence: Evidence, control: Bool = false, seconds: Int = 120) throws -> Measurement {
    var random = SplitMix(seed: 1)
    let truth = control ? evidence.controlTruth : evidence.truth
    let knowledge = try Self.attack.knowledge(of: evidence, truth: truth, random: &random)
    let claim = Self.attack.attempt(
      on: control ? evidence.control : evidence.masked, knowing: knowledge, random: &random,
      until: Deadline(after: .seconds(seconds)))
    return Self.attack.score(claim, truth: truth)
  }

  private func detail(_ name: String, _ measurement: Measurement) throws -> Double {
    try #require(measurement.details.first { $0.name == name }?.value)
  }

  private func texts(_ text: SyntheticText, _ count: Int, seed: UInt64) -> [[Int32]] {
    var random = SplitMix(seed: seed)
    return text.samples(count, random: &random)
  }

  // MARK: - With the base checkpoint

  private static let even = SyntheticText(words: 100, exponent: 0, order: 0)

  /// The key is found to 1e-3 and better, and vectors of different tokens are about as far apart as they are long.
  @Test func withTheBaseEveryTokenIsRead() throws {
    let samples = texts(Self.even, 40, seed: 1)
    for transformer in [try SmallTransformer.bert(seed: 1), try .llama(seed: 1)] {
      for control in [false, true] {
        let measurement = try measure(transformer.evidence(samples, sampleTexts: nil), control: control)
        #expect(measurement.value == 1)
        #expect(try detail("share of distinct tokens", measurement) == 1)
        #expect(measurement.rows == samples.reduce(0) { $0 + $1.count })
        // 40 samples, whose tokens are read together: 40/(40 + z²), not some 400 answers.
        #expect(abs(try #require(measurement.interval).lower - 0.9124) < 1e-4)
      }
    }
  }

  /// Attention alone leaves the sign of the key open: the better one is taken.
  @Test func withTheBaseBothSignsAreTried() throws {
    let transformer = try SmallTransformer.llama(seed: 2)
    let whole = try transformer.evidence(texts(Self.even, 20, seed: 2), sampleTexts: nil)
    let kept = transformer.parameters.indices.filter { transformer.parameters[$0].name.contains("self_attn") }
    let evidence = Evidence(
      masked: whole.masked.with(parameters: kept), control: whole.control.with(parameters: kept), truth: whole.truth,
      controlTruth: whole.controlTruth,
      knowledge: PublicKnowledge(
        sampleRows: whole.knowledge.sampleRows, sampleTexts: nil, baseWeights: kept.map { transformer.base[$0] },
        vocabulary: transformer.vocabulary), traits: .sample(), shadows: nil)
    #expect(try measure(evidence).value == 1)
  }

  /// Noise of a fifth of the vectors' own deviation: to be taken for another token, a vector has to be moved half way to it, some 0.7 √24 of its
  /// deviations, by noise that along any one direction has 0.2.
  @Test func withTheBaseNoiseHardlyHelps() throws {
    let evidence = try SmallTransformer.bert(seed: 3).evidence(
      texts(Self.even, 40, seed: 3), sampleTexts: nil, noise: 0.2)
    #expect(try #require(measure(evidence).value) > 0.99)
  }

  /// To defeat it: rows unmasked with a key of another base have nothing to do with the tokens. Each of the 102 is told right with probability
  /// 1/120 where all its rows say the same, as in a decoder: 0.85 expected, and more than 5 with probability 2e-4.
  @Test(arguments: [UInt64(4), 5]) func withAnotherBaseItIsAtChance(seed: UInt64) throws {
    var transformer = try SmallTransformer.llama(seed: seed)
    transformer.base = SmallTransformer.weights(transformer.parameters, seed: seed + 100)
    let measurement = try measure(transformer.evidence(texts(Self.even, 60, seed: seed), sampleTexts: nil))
    #expect(try detail("share of distinct tokens", measurement) * 102 < 6)
    // The same in rows: five tokens of 1 % each, or one of the two that every sample of ten has.
    #expect(try #require(measurement.value) < 0.15)
  }

  // MARK: - Without it

  private static let zipf = SyntheticText(words: 60, exponent: 1, order: 0)
  private static let ordered = SyntheticText(words: 60, exponent: 1, order: 0.6)

  /// Every sample has the first and the last token once, and which is which their positions tell: 2 of 10 rows. Zipf's first word has 1/4.7 of
  /// the other 8, some 1.7 in a sample, the second half of that: no other pair of rates is as far apart, and 150 samples tell 0.85 from 0.57 (the third).
  @Test func anEncodersFrequentTokensAreToldByRepetition() throws {
    let samples = texts(Self.zipf, 150, seed: 6)
    let evidence = try SmallTransformer.bert(seed: 6).evidence(
      samples, sampleTexts: texts(Self.zipf, 2000, seed: 60), isPublic: false)
    for control in [false, true] {
      let measurement = try measure(evidence, control: control)
      #expect(try #require(measurement.value) > 0.2 + 0.17)
      #expect(try #require(measurement.chance) < 0.2)
    }
  }

  /// What the layers do decides how it is attacked, not what its family calls them.
  @Test func anEncoderUnderOtherNamesIsAttackedAlike() throws {
    let (samples, known) = (texts(Self.zipf, 150, seed: 6), texts(Self.zipf, 2000, seed: 60))
    var transformer = try SmallTransformer.bert(seed: 6)
    let named = try measure(transformer.evidence(samples, sampleTexts: known, isPublic: false))
    transformer.parameters = transformer.parameters.map {
      ParameterSpecification(
        name: $0.name.replacing("bert.", with: "model."), shape: $0.shape, rows: $0.rows, columns: $0.columns,
        origin: $0.origin)
    }
    let renamed = try measure(transformer.evidence(samples, sampleTexts: known, isPublic: false))
    #expect(renamed.value == named.value)
    #expect(try #require(named.value) > 0.2 + 0.17)
  }

  /// Bigrams settle what frequencies leave open: three of five words follow from the one before.
  @Test func aDecodersTokensAreToldByBigrams() throws {
    let samples = texts(Self.ordered, 300, seed: 7)
    let evidence = try SmallTransformer.llama(seed: 7).evidence(
      samples, sampleTexts: texts(Self.ordered, 3000, seed: 70), isPublic: false)
    let measurement = try measure(evidence)
    #expect(try #require(measurement.value) > 0.9)
    #expect(try #require(measurement.chance) < 0.2)
  }

  /// To defeat it: words that are all as frequent and follow one another at random. Which is matched with which of 60 is then drawn as a permutation
  /// is: one right on average, six and more with probability 6e-4. First and last token come on top.
  @Test func evenTextLeavesADecodersWordsAtChance() throws {
    let even = SyntheticText(words: 60, exponent: 0, order: 0)
    let evidence = try SmallTransformer.llama(seed: 8).evidence(
      texts(even, 200, seed: 8), sampleTexts: texts(even, 2000, seed: 80), isPublic: false)
    let measurement = try measure(evidence)
    #expect(try detail("share of distinct tokens", measurement) * 62 < 2 + 6)
  }

  /// To defeat it: noise as large as the vectors. Equal ones are then no nearer than others; matched at random, and the rest guessed, some 800
  /// rows are right as often as a guess is, give or take 3 · √(0.17 · 0.83 / 800) = 0.04; a sample's first and last are told one from another by
  /// its length alone, at most one row of each pair a sample.
  @Test func noiseLeavesRepetitionsAtChance() throws {
    let evidence = try SmallTransformer.bert(seed: 9).evidence(
      texts(Self.zipf, 80, seed: 9), sampleTexts: texts(Self.zipf, 2000, seed: 90), noise: 1.5, isPublic: false)
    let measurement = try measure(evidence)
    #expect(try #require(measurement.value) < #require(measurement.chance) + 0.05)
  }

  /// With both kinds of knowledge the checkpoint's word counts, and the other's is told beside it.
  @Test func withTheBaseTheOtherShareIsADetail() throws {
    let evidence = try SmallTransformer.llama(seed: 10).evidence(
      texts(Self.ordered, 100, seed: 10), sampleTexts: texts(Self.ordered, 1000, seed: 100))
    let measurement = try measure(evidence)
    #expect(measurement.value == 1)
    #expect(try detail("share of tokens without the base checkpoint", measurement) > 2 * #require(measurement.chance))
  }

  /// Another base explains nothing of the weights: then repetitions tell more.
  @Test func aBaseThatDoesNotFitIsLeftAside() throws {
    var transformer = try SmallTransformer.llama(width: 48, seed: 11)
    transformer.base = SmallTransformer.weights(transformer.parameters, seed: 111)
    let evidence = try transformer.evidence(
      texts(Self.ordered, 200, seed: 11), sampleTexts: texts(Self.ordered, 2000, seed: 110))
    #expect(try #require(measure(evidence).value) > 0.5)
  }

  @Test func aPassedDeadlineClaimsLittle() throws {
    let evidence = try SmallTransformer.llama(seed: 12).evidence(
      texts(Self.even, 10, seed: 12), sampleTexts: texts(Self.even, 10, seed: 13))
    #expect(try measure(evidence, seconds: 0).value == nil)
  }

  @Test func rowsOfFeaturesHaveNoTokens() throws {
    let evidence = try SmallTransformer.llama(seed: 13).evidence([[1, 2]], sampleTexts: [[1, 2]])
    let truth = OwnerTruth(
      rows: evidence.truth.rows, tokens: nil, positions: nil, labels: evidence.truth.labels,
      inputKey: evidence.truth.inputKey)
    var random = SplitMix(seed: 1)
    #expect(throws: Inapplicable(nothingToFind: "the rows are features, not tokens")) {
      try Self.attack.knowledge(of: evidence, truth: truth, random: &random)
    }
  }

  @Test func withoutAnyKnowledgeItDoesNotApply() throws {
    let evidence = try SmallTransformer.llama(seed: 14).evidence([[1, 2]], sampleTexts: nil, isPublic: false)
    var random = SplitMix(seed: 1)
    #expect(throws: Inapplicable("neither the base checkpoint nor texts of the same kind are public")) {
      try Self.attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    }
  }
}

/// Two claims about the same rows: the better one is the attacker's.
@Suite struct TokenClaimTests {
  private let truth: [Int32] = [1, 2, 3, 4]

  private func claim(_ withBase: [Int32]?, _ withoutBase: [Int32]?) -> Measurement {
    func tokens(_ tokens: [Int32]) -> TokenClaim.Tokens { .init(rows: Array(tokens.indices), tokens: tokens) }
    return TokenClaim(
      withBase: withBase.map(tokens), withoutBase: withoutBase.map(tokens), mostFrequent: 1, lengths: nil
    ).measurement(truth: truth)
  }

  private func details(_ measurement: Measurement) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: measurement.details.map { ($0.name, $0.value) })
  }

  @Test func theOneWithTheBaseWhereItRecoversMore() {
    let found = claim([1, 2, 3, 0], [1, 0, 0, 0])
    #expect(found.value == 0.75)
    #expect(
      details(found) == [
        "share of distinct tokens": 0.75, "share of tokens without the base checkpoint": 0.25,
        "share of distinct tokens without the base checkpoint": 0.25,
      ])
  }

  @Test func theOneWithoutTheBaseWhereItRecoversMore() throws {
    let found = claim([1, 0, 0, 0], [1, 2, 3, 0])
    #expect(found.value == 0.75)
    // The interval is of the same claim: Wilson's of three in four is [0.30, 0.95].
    #expect(try #require(found.interval).upper > 0.9)
    #expect(
      details(found) == [
        "share of distinct tokens": 0.75, "share of tokens with the base checkpoint": 0.25,
        "share of distinct tokens with the base checkpoint": 0.25,
      ])
  }

  @Test func oneAlone() {
    for found in [claim([1, 2, 0, 0], nil), claim(nil, [1, 2, 0, 0])] {
      #expect(found.value == 0.5)
      #expect(details(found) == ["share of distinct tokens": 0.5])
    }
    #expect(claim(nil, nil).value == nil)
  }
}
