import Models
import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct SpectralAlignmentTests {
  private let attack = SpectralAlignment(compute: SyntheticView.compute, batch: 64, rounds: 10, judged: 200)
  private let long = Deadline(after: .seconds(600))

  private func measure(
    _ rows: Tensor<Float>, sample: Tensor<Float>, key: Tensor<Double>, group: SymmetryGroup, noise: [Double]? = nil,
    random: inout SplitMix, until deadline: Deadline? = nil, onControl: Bool = false
  ) throws -> Measurement {
    let made = SyntheticView(rows: rows, key: key, group: group, noise: noise)
    let evidence = made.evidence(sample: sample)
    let truth = onControl ? evidence.controlTruth : evidence.truth
    let knowledge = try attack.knowledge(of: evidence, truth: truth, random: &random)
    let view = onControl ? evidence.control : evidence.masked
    let claim = try attack.attempt(on: view, knowing: knowledge, random: &random, until: deadline ?? long)
    return attack.score(claim, truth: truth)
  }

  /// Column j + 1 has 1/1.96 of column j's variance. Of n rows a principal axis is off towards another by σᵢ σⱼ/√n/(σᵢ² − σⱼ²), so that a column
  /// of the reconstruction has 1/√n of every larger one in it, and up to 2/√n of the next: with two sets of 1,000 rows
  /// √(2 · (11 + 4)/1000) = 0.17 of its own deviation, a correlation of 0.985.
  @Test func distinctSpectraAlign() throws {
    var random = SplitMix(seed: 1)
    let rows = SyntheticRows.skewed(1000, 12, random: &random)
    let sample = SyntheticRows.skewed(1000, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: .orthogonal, random: &random)
    #expect(try #require(found.value) > 0.9)
    let control = try measure(
      rows, sample: sample, key: key, group: .orthogonal, random: &random, onControl: true)
    #expect(try #require(control.value) > 0.9)
  }

  /// Isotropic Gaussian rows have no axes, and any turn of them is as near to the sample. A random axis has a cosine above 0.9 with the right
  /// one of 12 with probability below 1e-4.
  @Test func isotropicGaussianRowsStayUnknown() throws {
    var random = SplitMix(seed: 2)
    let rows = SyntheticRows.gaussian(1000, 12, random: &random)
    let sample = SyntheticRows.gaussian(1000, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: .orthogonal, random: &random)
    #expect(found.value == 0)
    #expect(try #require(found.details.first { $0.name == "mean absolute correlation" }?.value) < 0.6)
  }

  /// A column's deviation from 600 rows is off by √8/2/√600 = 0.06 of it at most; the next one's is 0.29 away.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation])
  func permutedColumnsAreKnownByTheirStatistics(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 3)
    let rows = SyntheticRows.skewed(600, 12, random: &random)
    let sample = SyntheticRows.skewed(600, 12, random: &random)
    let key = SyntheticView.permutation(14, signed: group == .signedPermutation, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: group, random: &random)
    #expect(found.value == 1)
    // By columns, whose values are the plaintext's own, and not by turning: Float32's rounding is all that is lost.
    #expect(found.details.first { $0.name == "components aligned" }?.value == 0)
    #expect(try #require(found.details.first { $0.name == "relative error" }?.value) < 1e-6)
  }

  /// Columns all distributed alike, and independent: which is which nothing says. Of a random order of 12 one is in its place on average,
  /// and five with probability below 1/5! = 0.009.
  @Test func columnsThatAreAlikeStayUnknownUnderAPermutation() throws {
    var random = SplitMix(seed: 4)
    let rows = SyntheticRows.gaussian(600, 12, random: &random)
    let sample = SyntheticRows.gaussian(600, 12, random: &random)
    let key = SyntheticView.permutation(14, signed: false, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: .permutation, random: &random)
    #expect(try #require(found.value) < 5 / 12)
  }

  /// Alike by themselves, but not in how they go together: column j + 1 is correlated to column j alone, by a different amount each.
  @Test func covariancesTellColumnsApartThatAreAlike() throws {
    var random = SplitMix(seed: 5)
    func chain() -> Tensor<Float> {
      var rows = SyntheticRows.gaussian(2000, 8, random: &random)
      for row in 0..<2000 {
        for column in 1..<8 {
          let share = 0.95 - 0.1 * Float(column)
          rows[row, column] = share * rows[row, column - 1] + (1 - share * share).squareRoot() * rows[row, column]
        }
      }
      return rows
    }
    let (rows, sample) = (chain(), chain())
    let key = SyntheticView.permutation(9, signed: false, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: .permutation, random: &random)
    #expect(found.value == 1)
  }

  /// Noise as large as the rows' largest deviation makes all axes alike but the first few: fewer columns than without.
  @Test func noiseLowersTheShare() throws {
    var random = SplitMix(seed: 6)
    let rows = SyntheticRows.skewed(1000, 12, random: &random)
    let sample = SyntheticRows.skewed(1000, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let noise = GaussianNumbers.fill(12_000, random: &random)
    let found = try measure(rows, sample: sample, key: key, group: .orthogonal, noise: noise, random: &random)
    // Even with the key known a column of deviation s correlates by s/√(1 + s²) ≤ 0.71.
    #expect(found.value == 0)
  }

  @Test(arguments: [SymmetryGroup.orthogonal, .permutation])
  func aPassedDeadlineStillGivesAClaim(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 7)
    let rows = SyntheticRows.skewed(300, 12, random: &random)
    let sample = SyntheticRows.skewed(300, 12, random: &random)
    let key = SyntheticView.permutation(14, signed: false, random: &random)
    let found = try measure(
      rows, sample: sample, key: key, group: group, random: &random, until: Deadline(after: .zero))
    #expect(found.value != nil)
    #expect(found.rows == 300)
  }

  @Test func withoutPublicRowsThereIsNothingToAlignWith() throws {
    var random = SplitMix(seed: 8)
    let made = SyntheticView(rows: Tensor(zeros: [20, 3]), key: SyntheticView.identity(4), group: .trivial)
    #expect(throws: Inapplicable.self) {
      try attack.knowledge(of: made.evidence(sample: Tensor(zeros: [0, 3])), truth: made.truth, random: &random)
    }
  }
}
