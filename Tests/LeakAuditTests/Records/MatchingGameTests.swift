import Models
import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct MatchingGameTests {
  private let attack = MatchingGame(compute: RecordScene.compute, recordsOfSet: 12, games: 100)

  private func scene(_ random: inout SplitMix) -> RecordScene {
    RecordScene(rows: RecordScene.normals(80, 10, &random), sample: RecordScene.normals(1, 10, &random))
  }

  /// Distances that a key keeps to seven digits are never those of another set.
  @Test(arguments: [SymmetryGroup.trivial, .permutation, .signedPermutation, .orthogonal])
  func everyGameUnder(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 1)
    var scene = scene(&random)
    scene.group = group
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(found.value == 1)
    #expect(found.detail("games") == 100)
    #expect(found.detail("records of a set") == 12)
  }

  /// Under noise a thousand times as long as the records, 100 tosses of a coin spread by 0.05; four times that is allowed.
  @Test func aCoinUnderNoise() throws {
    var random = SplitMix(seed: 2)
    var scene = scene(&random)
    scene.noise = 1000
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.value) - 0.5) <= 0.2)
    #expect(found.chance == 0.5)
  }

  /// How many tokens each sample has, in whatever order, names the set though the vectors are drowned in noise.
  @Test func lengthsAloneTell() throws {
    var random = SplitMix(seed: 3)
    let lengths = (0..<60).map { _ in Int32.random(in: 1...9, using: &random) }
    var scene = RecordScene(
      rows: RecordScene.normals(Int(lengths.reduce(0, +)), 6, &random), sample: RecordScene.normals(1, 6, &random))
    scene.lengths = lengths
    scene.noise = 1000
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    // Two sets of twelve lengths from nine are the same with a probability far below one in a hundred.
    #expect(try #require(found.value) >= 0.99)
    #expect(abs(try #require(found.detail("share of right guesses without the lengths")) - 0.5) <= 0.2)
  }

  /// Row numbers are the same numbers whichever set they show: nothing in the knowledge repeats itself.
  @Test func theKnowledgeDoesNotSayWhichSetWasUsed() throws {
    var random = SplitMix(seed: 4)
    let plain = scene(&random)
    let evidence = plain.evidence(&random)
    let knowledge = try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    // The same knowledge with masked rows of other records: a guess from the knowledge alone would still be right.
    var others = RecordScene(rows: RecordScene.normals(80, 10, &random), sample: plain.sample)
    others.group = .orthogonal
    let claim = try attack.attempt(
      on: others.evidence(&random).masked, knowing: knowledge, random: &random, until: Deadline(after: .seconds(60)))
    let found = attack.score(claim, truth: evidence.truth)
    #expect(abs(try #require(found.value) - 0.5) <= 0.2)
  }

  @Test func noTimeIsNoValue() throws {
    var random = SplitMix(seed: 5)
    let evidence = scene(&random).evidence(&random)
    #expect(try RecordScene.measure(attack, on: evidence, &random, within: .zero).value == nil)
  }

  @Test func tooFewRecords() {
    var random = SplitMix(seed: 6)
    let few = RecordScene(rows: RecordScene.normals(7, 4, &random), sample: RecordScene.normals(1, 4, &random))
    let evidence = few.evidence(&random)
    #expect(throws: Inapplicable.self) { try attack.knowledge(of: evidence, truth: evidence.truth, random: &random) }
  }
}
