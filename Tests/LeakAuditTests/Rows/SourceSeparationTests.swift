import Models
import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct SourceSeparationTests {
  private let attack = SourceSeparation(compute: SyntheticView.compute, restarts: 1)
  private let long = Deadline(after: .seconds(600))

  private func measure(
    _ rows: Tensor<Float>, key: Tensor<Double>, group: SymmetryGroup, firstLayer: Tensor<Double>? = nil,
    random: inout SplitMix, until deadline: Deadline? = nil
  ) throws -> Measurement {
    let made = SyntheticView(rows: rows, key: key, group: group, firstLayer: firstLayer)
    let evidence = made.evidence(sample: Tensor(zeros: [0, rows.columns]))
    let knowledge = try attack.knowledge(of: evidence, truth: made.truth, random: &random)
    let claim = try attack.attempt(on: made.view, knowing: knowledge, random: &random, until: deadline ?? long)
    return attack.score(claim, truth: made.truth)
  }

  private func detail(_ measurement: Measurement, _ name: String) -> Double? {
    measurement.details.first { $0.name == name }?.value
  }

  /// FastICA's error in an entry of the turn is about √(c/n) with c of the order of 1 for these sources (Tichavský, Koldovský and Oja, IEEE
  /// Trans. Signal Process. 54(4), 2006): with 2,000 rows eleven of them leave a correlation of 1 − 11/4000, far above 0.9.
  @Test func independentColumnsAreFoundThroughARotation() throws {
    var random = SplitMix(seed: 1)
    let rows = SyntheticRows.independent(2000, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let found = try measure(rows, key: key, group: .orthogonal, random: &random)
    #expect(found.value == 1)
    #expect(try #require(detail(found, "mean best absolute correlation")) > 0.98)
    #expect(found.rows == 2000)
    let control = try measure(rows, key: SyntheticView.identity(14), group: .trivial, random: &random)
    #expect(control.value == 1)
  }

  /// Any turn of Gaussian columns is as Gaussian as they are. A random direction of 12 has a cosine above 0.9 with an axis with probability
  /// (1 − I(0.81; 1/2, 11/2)) < 1e-4; over 12 × 12 pairs one is found with probability below 0.01, and three never.
  @Test func gaussianColumnsAreNotFound() throws {
    var random = SplitMix(seed: 2)
    let rows = SyntheticRows.gaussian(2000, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let found = try measure(rows, key: key, group: .orthogonal, random: &random)
    #expect(try #require(found.value) <= 1 / 12 + 1e-9)
    #expect(try #require(found.chance) <= 1 / 12 + 1e-9)
    #expect(try #require(detail(found, "mean best absolute correlation")) < 0.8)
  }

  /// One column is found by any attack, and chance says so.
  @Test func chanceKnowsASingleColumn() throws {
    var random = SplitMix(seed: 3)
    let rows = SyntheticRows.gaussian(200, 1, random: &random)
    let found = try measure(
      rows, key: try SyntheticView.rotation(3, random: &random), group: .orthogonal, random: &random)
    #expect(found.value == 1)
    #expect(found.chance == 1)
  }

  /// Gaussian columns, a rotation: but each row of the first layer's uniform weights is turned by the same key, and 1,000 of them give it.
  @Test func uniformInitialWeightsGiveTheKey() throws {
    var random = SplitMix(seed: 4)
    let rows = SyntheticRows.gaussian(500, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let weights = Tensor((0..<1000 * 14).map { $0 % 14 < 13 ? Double(random.nextValue()) / 12 : 0 }, shape: [1000, 14])
    let found = try measure(rows, key: key, group: .orthogonal, firstLayer: weights, random: &random)
    #expect(detail(found, "components from initial weights") == 13)
    #expect(found.value == 1)
  }

  /// Drawn from a Gaussian the same weights say nothing (bound as for `gaussianColumnsAreNotFound`, with twice the components).
  @Test func gaussianInitialWeightsGiveNothing() throws {
    var random = SplitMix(seed: 5)
    let rows = SyntheticRows.gaussian(500, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let weights = Tensor(GaussianNumbers.fill(1000 * 14, random: &random), shape: [1000, 14])
    let found = try measure(rows, key: key, group: .orthogonal, firstLayer: weights, random: &random)
    #expect(detail(found, "components from initial weights") == 14)
    #expect(try #require(found.value) <= 1 / 12 + 1e-9)
  }

  /// No more than twice as many rows as columns: too few to separate.
  @Test func aNarrowFirstLayerIsLeftAlone() throws {
    var random = SplitMix(seed: 6)
    let rows = SyntheticRows.gaussian(100, 4, random: &random)
    let weights = Tensor(GaussianNumbers.fill(10 * 5, random: &random), shape: [10, 5])
    let found = try measure(
      rows, key: try SyntheticView.rotation(5, random: &random), group: .orthogonal, firstLayer: weights,
      random: &random)
    #expect(detail(found, "components from initial weights") == 0)
  }

  /// Whatever their distribution, permuted columns are there to be looked at.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation])
  func permutedColumnsAreInTheClear(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 7)
    let rows = SyntheticRows.gaussian(300, 12, random: &random)
    let key = SyntheticView.permutation(14, signed: group == .signedPermutation, random: &random)
    let found = try measure(rows, key: key, group: group, random: &random)
    #expect(found.value == 1)
  }

  @Test func aPassedDeadlineStillGivesAClaim() throws {
    var random = SplitMix(seed: 8)
    let rows = SyntheticRows.independent(500, 12, random: &random)
    let found = try measure(
      rows, key: try SyntheticView.rotation(14, random: &random), group: .orthogonal, random: &random,
      until: Deadline(after: .zero))
    #expect(detail(found, "components from rows") == 12)
    #expect(found.value != nil)
  }
}
