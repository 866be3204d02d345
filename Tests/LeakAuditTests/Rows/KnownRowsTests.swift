import Models
import LeakAudit
import Numerics
import Testing
import TestSupport

/// What is exact here is so up to Float32's rounding of the view (2⁻²⁴ = 6e-8 a number), which the known rows' inverse enlarges by their
/// condition, some tens to hundreds for the few random rows below: 1e-3 leaves a hundredfold.
@Suite struct KnownRowsTests {
  private let attack = KnownRows(compute: SyntheticView.compute)
  private let long = Deadline(after: .seconds(600))

  private func measure(
    _ rows: Tensor<Float>, key: Tensor<Double>, group: SymmetryGroup, noise: [Double]? = nil, random: inout SplitMix,
    until deadline: Deadline? = nil
  ) throws -> (Measurement, KnownRows.Claim, KnownRows.Knowledge) {
    let made = SyntheticView(rows: rows, key: key, group: group, noise: noise)
    let evidence = made.evidence(sample: Tensor(zeros: [0, rows.columns]))
    let knowledge = try attack.knowledge(of: evidence, truth: made.truth, random: &random)
    let claim = try attack.attempt(on: made.view, knowing: knowledge, random: &random, until: deadline ?? long)
    return (attack.score(claim, truth: made.truth), claim, knowledge)
  }

  private func error(_ measurement: Measurement, at known: Int) -> Double? {
    measurement.curve?.points.first { $0.x == Double(known) }?.y
  }

  /// With a constant, padding, and neither. The literature's d + 1 = 13 is for an unknown shift: the constant's own inner product is 1 here, so
  /// that d rows are enough, and 11 leave √(1/12) of the spread.
  @Test(arguments: [12, 13, 15])
  func aRotationIsKnownFromAsManyRowsAsColumns(width: Int) throws {
    var random = SplitMix(seed: 1)
    let rows = SyntheticRows.gaussian(200, 12, random: &random)
    let key = try SyntheticView.rotation(width, random: &random)
    let (found, _, knowledge) = try measure(rows, key: key, group: .orthogonal, random: &random)
    #expect(knowledge.counts == [1, 2, 4, 8, 12, 24])
    #expect(found.value == 12)
    #expect(found.interval == Interval(lower: 12, upper: 12))
    #expect(found.chance == nil)
    #expect(try #require(error(found, at: 11)) > 0.1)
    #expect(try #require(error(found, at: 12)) < 1e-3)
    #expect(try #require(error(found, at: 24)) < 1e-3)
    #expect(
      attack.meaning(
        of: found,
        evidence: SyntheticView(rows: rows, key: key, group: .orthogonal).evidence(
          sample: rows)
      ).contains("knows 12 of these rows"))
  }

  /// Fewer rows than columns say what lies in their span and nothing of the rest: the error is that of the projection, worked out here by
  /// Gram–Schmidt.
  @Test func fewerRowsLeaveWhatIsOutsideTheirSpan() throws {
    var random = SplitMix(seed: 2)
    let rows = SyntheticRows.gaussian(200, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let (found, claim, knowledge) = try measure(rows, key: key, group: .orthogonal, random: &random)
    let truth = claim.others.map { row in (0..<12).map { Double(rows[row, $0]) } }
    let mean = (0..<12).map { column in truth.reduce(0) { $0 + $1[column] } / Double(truth.count) }
    let spread = truth.reduce(0) { sum, row in sum + zip(row, mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } }
    for known in [1, 2, 4, 8] {
      var basis: [[Double]] = []
      for row in knowledge.order.prefix(known) {
        let rest = outside(basis, (0..<12).map { Double(rows[row, $0]) })
        let length = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
        basis.append(rest.map { $0 / length })
      }
      let residual = truth.reduce(0) { sum, row in sum + outside(basis, row).reduce(0) { $0 + $1 * $1 } }
      #expect(abs(try #require(error(found, at: known)) - (residual / spread).squareRoot()) < 1e-3)
    }
  }

  private func outside(_ basis: [[Double]], _ vector: [Double]) -> [Double] {
    basis.reduce(vector) { rest, direction in
      let part = zip(rest, direction).reduce(0) { $0 + $1.0 * $1.1 }
      return zip(rest, direction).map { $0 - part * $1 }
    }
  }

  /// Rows of rank 3 are known from 3.
  @Test func rowsOfLowRankNeedNoMoreThanTheRank() throws {
    var random = SplitMix(seed: 3)
    let factors = SyntheticRows.gaussian(200, 3, random: &random)
    let loadings = SyntheticRows.gaussian(3, 20, random: &random)
    let rows = factors.times(loadings, compute: SyntheticView.compute)
    let key = try SyntheticView.rotation(21, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: .orthogonal, random: &random)
    #expect(found.value == 3)
    #expect(try #require(error(found, at: 3)) < 1e-3)
    #expect(try #require(error(found, at: 2)) > 0.1)
  }

  /// Rows of rank 22 in 100 columns: 16 known rows are too few and 32 enough, and what lies between is tried until 21 and 22.
  @Test func theLeastNumberIsLookedForBetweenThePowersOfTwo() throws {
    var random = SplitMix(seed: 11)
    let factors = SyntheticRows.gaussian(300, 22, random: &random)
    let rows = factors.times(SyntheticRows.gaussian(22, 100, random: &random), compute: SyntheticView.compute)
    let key = try SyntheticView.rotation(102, random: &random)
    let (found, _, knowledge) = try measure(rows, key: key, group: .orthogonal, random: &random)
    #expect(knowledge.counts == [1, 2, 4, 8, 16, 32, 64, 100, 200])
    #expect(found.value == 22)
    #expect(found.interval == Interval(lower: 22, upper: 22))
    let tried = try #require(found.curve).points.map { Int($0.x) }
    #expect(Set(tried).isSuperset(of: knowledge.counts + [21]))
    #expect(tried == tried.sorted())
    #expect(tried.count <= knowledge.counts.count + 4)
    #expect(Set(knowledge.searchRows).isDisjoint(with: knowledge.order))
  }

  @Test func unmaskedRowsAreExactByTheSameMethod() throws {
    var random = SplitMix(seed: 4)
    let rows = SyntheticRows.gaussian(200, 12, random: &random)
    let (found, _, _) = try measure(rows, key: SyntheticView.identity(14), group: .trivial, random: &random)
    #expect(found.value == 12)
    #expect(try #require(error(found, at: 12)) < 1e-3)
  }

  /// Two continuous columns are told apart by a single value, whatever their number.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation])
  func aPermutationIsKnownFromOneRowOfDistinctValues(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 5)
    let rows = SyntheticRows.gaussian(200, 12, random: &random)
    let key = SyntheticView.permutation(14, signed: group == .signedPermutation, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: group, random: &random)
    #expect(found.value == 1)
    #expect(try #require(error(found, at: 1)) < 1e-3)
  }

  /// 64 columns of bits need about 2 log₂ 64 = 12 rows until no two agree in all of them; with 1 row two groups are all that is known.
  @Test func permutedBitsNeedSomeRows() throws {
    var random = SplitMix(seed: 6)
    let rows = SyntheticRows.bits(400, 64, random: &random)
    let key = SyntheticView.permutation(66, signed: false, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: .permutation, random: &random)
    #expect(try #require(error(found, at: 1)) > 0.5)
    #expect(try #require(found.value) > 4)
    #expect(try #require(found.value) <= 32)
    // All columns told apart: the values are the plaintext's own.
    #expect(try #require(error(found, at: 64)) < 1e-3)
  }

  /// Noise of deviation σ on rows of deviation 1 leaves σ/√(1 + σ²) to an attacker who knows the key itself (Wiener's filter): nothing can
  /// be nearer, and with five times as many rows as columns the attack must not be twice as far. At σ = 2 the bound is 0.89, the mean 1.
  @Test(arguments: [SymmetryGroup.orthogonal, .permutation], [0.05, 0.3, 2])
  func noiseRaisesTheError(group: SymmetryGroup, sigma: Double) throws {
    var random = SplitMix(seed: 7)
    let rows = SyntheticRows.gaussian(400, 12, random: &random)
    let noise = GaussianNumbers.fill(400 * 12, random: &random).map { $0 * sigma }
    let key =
      group == .orthogonal
      ? try SyntheticView.rotation(14, random: &random)
      : SyntheticView.permutation(14, signed: false, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: group, noise: noise, random: &random)
    let bound = sigma / (1 + sigma * sigma).squareRoot()
    let last = try #require(error(found, at: 24))
    #expect(last > 0.9 * bound)
    #expect(last < min(2 * bound, 1.1))
    #expect((found.value == nil) == (sigma > 0.1))
    guard found.value == nil else { return }
    // More than the most that was tried.
    #expect(found.interval == Interval(lower: 25, upper: .infinity))
    #expect(found.details.contains { $0.name == "relative error at the most known rows tried" && $0.value == last })
    let meaning = attack.meaning(
      of: found, evidence: SyntheticView(rows: rows, key: key, group: group).evidence(sample: rows))
    #expect(meaning.hasPrefix("Whoever knows up to 24 of these rows") || meaning.hasPrefix("Up to 24 of these rows"))
  }

  /// Columns that lie ten apart are told apart by their means whatever noise of twice their spread does; taken as it comes it is an error of
  /// 2. Wiener's filter leaves 2/√5 = 0.89, naming the mean 1.
  @Test func permutedColumnsUnderNoiseAreNoWorseThanTheirMeans() throws {
    var random = SplitMix(seed: 12)
    var rows = SyntheticRows.gaussian(400, 12, random: &random)
    for index in 0..<rows.count { rows[index] += 10 * Float(index % 12 - 6) }
    let noise = GaussianNumbers.fill(400 * 12, random: &random).map { $0 * 2 }
    let key = SyntheticView.permutation(14, signed: false, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: .permutation, noise: noise, random: &random)
    #expect(try #require(error(found, at: 24)) < 1)
    #expect(try #require(error(found, at: 4)) < 1.3)
  }

  /// Noise of a fifth of the distance between two values is wrong for one in 1/Φ(−2.5) = 160 by rounding, an error of √(1/160/0.2) = 0.18 of
  /// the spread (columns vary by p (1 − p), 0.2 on average); the best linear estimate is off by 0.2/√(0.2² + 0.2) = 0.41.
  @Test func fewValuesAreSeenThroughNoise() throws {
    var random = SplitMix(seed: 8)
    let rows = SyntheticRows.bits(400, 12, random: &random)
    let noise = GaussianNumbers.fill(400 * 12, random: &random).map { $0 * 0.2 }
    let key = SyntheticView.permutation(14, signed: false, random: &random)
    let (found, _, _) = try measure(rows, key: key, group: .permutation, noise: noise, random: &random)
    #expect(try #require(error(found, at: 24)) < 0.3)
  }

  @Test func aPassedDeadlineStillGivesAClaim() throws {
    var random = SplitMix(seed: 9)
    let rows = SyntheticRows.gaussian(100, 12, random: &random)
    let key = try SyntheticView.rotation(14, random: &random)
    let (found, claim, _) = try measure(
      rows, key: key, group: .orthogonal, random: &random, until: Deadline(after: .zero))
    #expect(claim.steps.map(\.known) == [1])
    #expect(found.value == nil)
    #expect(found.curve?.points.count == 1)
    #expect(found.interval == Interval(lower: 2, upper: .infinity))
    #expect(found.details.first { $0.name == "most known rows to try" }?.value == 24)
  }

  @Test func tooFewRowsAreRefused() throws {
    var random = SplitMix(seed: 10)
    let made = SyntheticView(rows: Tensor(zeros: [4, 3]), key: SyntheticView.identity(4), group: .trivial)
    #expect(throws: Inapplicable.self) {
      try attack.knowledge(of: made.evidence(sample: Tensor(zeros: [0, 3])), truth: made.truth, random: &random)
    }
  }
}
