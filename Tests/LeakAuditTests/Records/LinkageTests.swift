import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

@Suite struct LinkageTests {
  private let attack = Linkage(compute: RecordScene.compute, candidates: 64, groupSizes: [8], neighbourQueries: 64)

  private func scene(_ random: inout SplitMix) -> RecordScene {
    RecordScene(
      rows: RecordScene.normals(128, 20, &random), sample: RecordScene.normals(128, 20, &random))
  }

  /// Norms of 21 coordinates spread over some units and agree to 10⁻⁶: of 128 rows, one agrees by chance with one candidate in thousands, and
  /// with its distances never. Every member is found, and an isometry keeps every neighbour.
  @Test(arguments: [SymmetryGroup.trivial, .permutation, .signedPermutation, .orthogonal])
  func everyMemberUnder(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 1)
    var scene = scene(&random)
    scene.group = group
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(found.value == 1)
    #expect(found.detail("area under the curve") == 1)
    // Candidates of a question are found or missed together, and there are 16 questions: 16/(16 + z²).
    #expect(abs(try #require(found.interval).lower - 0.8064) < 1e-4)
    #expect(found.interval?.upper == 1)
    #expect(found.detail("neighbour-graph overlap") == 1)
    #expect(found.detail("false positives allowed") == 0)
    #expect(found.detail("candidates not in the data") == 64)
    #expect(found.rows == 128)
    // No false positive is allowed of 64: any place among them is as likely.
    #expect(abs(try #require(found.chance) - 1.0 / 65) < 1e-12)
  }

  /// Noise of a hundredth spreads squared distances of about 40 by 4 · 0.01 · √40 ≈ 0.2; by chance they spread by 9. An agreement of four
  /// members' six distances is worth 6 ln(9/0.2) ≈ 23 nats against 4 ln 128 ≈ 19 for the choice of rows, and norms add 4 ln(6/0.1): most
  /// groups come out.
  @Test func mostMembersUnderLittleNoise() throws {
    var random = SplitMix(seed: 2)
    var scene = scene(&random)
    scene.noise = 0.01
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(try #require(found.value) > 0.7)
  }

  /// Noise thirty times as long as the distances: nothing is left. The area under the curve of scores without information spreads by
  /// √((2 N + 1)/(12 N²)) = 0.051 at N = 64 of each kind; four times that is allowed. Above the highest of as many others, k of them are
  /// with a probability of 2⁻ᵏ: 14 happen once in 16,000 times.
  @Test func noMembersUnderNoiseFarAboveDistances() throws {
    var random = SplitMix(seed: 3)
    var scene = scene(&random)
    scene.noise = 30
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.detail("area under the curve")) - 0.5) < 0.205)
    #expect(try #require(found.value) * 64 <= 14)
    // Of 640 claimed neighbours, 10/127 by chance: 50.4 ± 6.8.
    #expect(abs(try #require(found.detail("neighbour-graph overlap")) * 640 - 50.4) < 4 * 6.8)
  }

  /// Fingerprints have whole numbers for norms and distances, that many rows share: one distance says little, those of half of 32
  /// candidates say who they are.
  @Test func fingerprintsNeedMoreCandidatesAtATime() throws {
    var random = SplitMix(seed: 4)
    let shares = (0..<96).map { _ in Double.random(in: 0.05..<0.5, using: &random) }
    let scene = RecordScene(
      rows: RecordScene.fingerprints(256, shares: shares, &random),
      sample: RecordScene.fingerprints(256, shares: shares, &random))
    let evidence = scene.evidence(&random)
    let sizes = Linkage(compute: RecordScene.compute, candidates: 128, groupSizes: [32, 2], neighbourQueries: 20)
    let found = try RecordScene.measure(sizes, on: evidence, &random)
    let curve = try #require(found.curve).points
    #expect(curve.map(\.x) == [2, 32])
    #expect(curve[1].y > 0.9)
    #expect(curve[0].y < 0.2)
    #expect(found.value == curve[1].y)
  }

  /// The mean of a sample's masked tokens is the mask of the mean.
  @Test func samplesOfTokens() throws {
    var random = SplitMix(seed: 5)
    func lengths() -> [Int32] { (0..<60).map { _ in Int32.random(in: 3...6, using: &random) } }
    let (ours, theirs) = (lengths(), lengths())
    var scene = RecordScene(
      rows: RecordScene.normals(Int(ours.reduce(0, +)), 12, &random),
      sample: RecordScene.normals(Int(theirs.reduce(0, +)), 12, &random))
    scene.lengths = ours
    scene.sampleTexts = theirs.map { Array(repeating: 0, count: Int($0)) }
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(found.value == 1)
    #expect(found.rows == 60)
    #expect(found.detail("candidates in the data") == 60)
  }

  /// A record of the sample that equals one of the view is not held against the attack.
  @Test func aCopyOfARecordIsAMember() throws {
    var random = SplitMix(seed: 6)
    var scene = scene(&random)
    let half = scene.sample.slice(rows: 0..<64).elements + scene.rows.slice(rows: 0..<64).elements
    scene.sample = Tensor(half, shape: [128, 20])
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(found.detail("candidates not in the data") == 64)
    #expect(found.value == 1)
  }

  /// Under noise on bits most rows agree with each other, and to find out how much there is takes a minute: half of three seconds are kept
  /// for the answers.
  @Test func answersComeThoughTheNoiseTakesLonger() throws {
    var random = SplitMix(seed: 10)
    let shares = (0..<64).map { _ in Double.random(in: 0.05..<0.5, using: &random) }
    var scene = RecordScene(
      rows: RecordScene.fingerprints(256, shares: shares, &random),
      sample: RecordScene.fingerprints(256, shares: shares, &random))
    scene.noise = 0.1
    let evidence = scene.evidence(&random)
    let attack = Linkage(compute: RecordScene.compute, candidates: 48, groupSizes: [32], neighbourQueries: 20)
    #expect(try RecordScene.measure(attack, on: evidence, &random, within: .seconds(3)).value != nil)
  }

  @Test func whatItMeansNamesTheCandidatesAtATime() throws {
    var random = SplitMix(seed: 11)
    let evidence = scene(&random).evidence(&random)
    let found = try RecordScene.measure(attack, on: evidence, &random)
    #expect(
      attack.meaning(of: found, evidence: evidence)
        == "Given 8 candidate records at a time, half of them in the data, this attack finds 100 % of those that are, "
        + "with 0 of 64 others mistaken for one, without any key.")
    var chance = found
    chance.value = 0
    chance.interval = Interval(lower: 0, upper: 0.1)
    #expect(attack.meaning(of: chance, evidence: evidence).contains("this attack could not tell"))
  }

  @Test func noTimeIsNoValue() throws {
    var random = SplitMix(seed: 7)
    let evidence = scene(&random).evidence(&random)
    let found = try RecordScene.measure(attack, on: evidence, &random, within: .zero)
    #expect(found.value == nil)
  }

  @Test func tooFewRecords() {
    var random = SplitMix(seed: 8)
    let scene = RecordScene(rows: RecordScene.normals(15, 4, &random), sample: RecordScene.normals(99, 4, &random))
    let evidence = scene.evidence(&random)
    #expect(throws: Inapplicable.self) { try attack.knowledge(of: evidence, truth: evidence.truth, random: &random) }
  }

  /// Token vectors that are not those of the texts cannot be told apart into samples.
  @Test func aSampleThatIsNoWholeRecords() {
    var random = SplitMix(seed: 9)
    var scene = scene(&random)
    scene.lengths = Array(repeating: 4, count: 64)
    scene.sampleTexts = [[1, 2, 3]]
    let evidence = scene.evidence(&random)
    #expect(throws: Inapplicable("there is no public sample of whole records to tell members from")) {
      try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    }
  }
}

@Suite struct GroupMatchingTests {
  /// What was searched to its end says so though its time is over by then; what was not says that too.
  @Test func anOutcomeSaysWhetherAllRowsWereTried() throws {
    var random = SplitMix(seed: 1)
    let scene = RecordScene(
      rows: RecordScene.normals(64, 12, &random), sample: RecordScene.normals(64, 12, &random))
    let evidence = scene.evidence(&random)
    let linkage = LinkageScene(
      candidates: Records(rows: evidence.truth.rows, lengths: nil), view: evidence.masked, compute: RecordScene.compute)
    let noise = LinkageNoise(
      share: 0, meanSquare: linkage.meanSquare, width: linkage.width, usesNorms: linkage.usesNorms)
    let matching = GroupMatching([0, 1, 2, 3], in: linkage, noise: noise, settings: GroupMatching.Settings())
    let (passed, far) = (Deadline(after: .zero), Deadline(after: .seconds(60)))
    #expect(!matching.outcome(until: passed).isComplete)
    #expect(passed.hasCutShort)
    let whole = matching.outcome(until: far)
    #expect(whole.isComplete && whole.evidence > 0)
    #expect(!far.hasCutShort)
  }
}
