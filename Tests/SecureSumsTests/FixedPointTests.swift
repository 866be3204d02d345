import Testing

@testable import SecureSums

@Suite struct FixedPointTests {
  private func format(
    _ kind: VectorFormat.Kind, count: Int = 4, sites: Int = 6
  ) throws -> VectorFormat {
    try VectorFormat(blocks: [.init(name: "update", count: count, kind: kind)], sites: sites)
  }

  // MARK: - Bits

  /// The charter's example: a clip of 8 (3 bits), 2²⁰ rows, six sites (3 bits) and a sign leave 36 of 63.
  @Test func theChartersExampleHas36FractionBits() throws {
    let plan = try BitPlan(
      updateClip: 8, rowsBound: 1 << 20, statisticsBound: 1e6, sites: 6, weightBound: 1 << 20)
    #expect(plan.update == .fixedPoint(clip: 8, fractionBits: 36, weightBound: 1 << 20))
    #expect(plan.statistic == .fixedPoint(clip: 1e6, fractionBits: 39, weightBound: 1))
    #expect(plan.rowCount == .integer(bound: 1 << 20))
    #expect(plan.table.rows.map(\.total) == [63, 63, 24])
    #expect(
      plan.table.description == """
        values     fraction  clip  weight  sites  sign  bits of 63
        update     36        3     20      3      1     63
        statistic  39        20    0       3      1     63
        row count  0         20    0       3      1     24
        """)
  }

  @Test func withEqualWeightsFortyFractionBitsAreEnough() throws {
    let plan = try BitPlan(updateClip: 8, rowsBound: 1 << 20, statisticsBound: 100, sites: 6, weightBound: 1)
    #expect(plan.update == .fixedPoint(clip: 8, fractionBits: 40, weightBound: 1))
  }

  /// 2⁻²⁵ of a clip of 2⁻²⁰ is 2⁻⁴⁵: 44 places leave half a unit of 2⁻⁴⁴.
  @Test func aSmallClipHasMoreFractionBits() throws {
    let small = try BitPlan(updateClip: 0x1p-20, rowsBound: 1, statisticsBound: 1, sites: 2, weightBound: 1)
    #expect(small.update == .fixedPoint(clip: 0x1p-20, fractionBits: 44, weightBound: 1))
    let larger = try BitPlan(updateClip: 0x1.8p-20, rowsBound: 1, statisticsBound: 1, sites: 2, weightBound: 1)
    #expect(larger.update == .fixedPoint(clip: 0x1.8p-20, fractionBits: 44, weightBound: 1))
  }

  /// 24 bits under the clip, 2³² rows, 100 sites and a sign are 64.
  @Test func whatDoesNotFitIsRefusedWithTheTable() throws {
    #expect(throws: Never.self) {
      try BitPlan(updateClip: 8, rowsBound: 1 << 31, statisticsBound: 1, sites: 100, weightBound: 1 << 31)
    }
    let error = #expect(throws: FixedPointError.self) {
      try BitPlan(updateClip: 8, rowsBound: 1 << 32, statisticsBound: 1, sites: 100, weightBound: 1 << 32)
    }
    guard case .doesNotFit(let table)? = error else {
      Issue.record("expected the table")
      return
    }
    #expect(table.rows[0].total == 64)
    #expect(error?.description.contains("update fraction 21 + clip 3 + weight 32 + sites 7 + sign 1 = 64") == true)
  }

  @Test(arguments: [
    (0.0, 1, 1.0, 6), (-8.0, 1, 1.0, 6), (.nan, 1, 1.0, 6), (.infinity, 1, 1.0, 6), (8.0, 0, 1.0, 6),
    (8.0, Int.max, 1.0, 6), (8.0, 1, .nan, 6), (8.0, 1, 0.0, 6), (8.0, 1, 1.0, 1), (8.0, 1, 1.0, 1001),
    (8.0, 1, .leastNonzeroMagnitude, 6), (.greatestFiniteMagnitude, 1, 1.0, 6),
  ])
  func boundsOutsideTheirRangesAreRefused(_ clip: Double, _ rows: Int, _ statistics: Double, _ sites: Int) {
    let error = #expect(throws: FixedPointError.self) {
      try BitPlan(updateClip: clip, rowsBound: rows, statisticsBound: statistics, sites: sites, weightBound: rows)
    }
    guard case .bound? = error else {
      Issue.record("expected a bound, got \(String(describing: error))")
      return
    }
  }

  /// Every weight at its bound and every value at its clip, of all sites: the sum is read back as it is.
  @Test func theLargestSumIsReadBack() throws {
    let plan = try BitPlan(
      updateClip: 8, rowsBound: 1 << 20, statisticsBound: 1e6, sites: 100, weightBound: 1 << 20)
    let format = try VectorFormat(
      blocks: [.init(name: "update", count: 2, kind: plan.update), .init(name: "rows", count: 1, kind: plan.rowCount)],
      sites: 100)
    var vector = format.vector()
    try format.encode([8.0, -8.0] as [Double], weight: 1 << 20, block: "update", into: &vector)
    try format.encode(integers: [1 << 20], block: "rows", into: &vector)
    let sum = (0..<100).reduce(format.vector()) { sum, _ in zip(sum, vector).map { $0 &+ $1 } }
    #expect(try format.decode(sum, block: "update") == [800 * 0x1p20, -800 * 0x1p20])
    #expect(try format.decodeIntegers(sum, block: "rows") == [100 << 20])
  }

  // MARK: - Rounding

  @Test func valuesAreRoundedToNearestTiesToEven() throws {
    let format = try format(.fixedPoint(clip: 8, fractionBits: 1, weightBound: 4), count: 8)
    var vector = format.vector()
    // Halves are whole: 0.25 and 0.75 lie between two.
    try format.encode([0.25, 0.75, 1.25, -0.25, -0.75, 0.3, -0.3, 8] as [Double], block: "update", into: &vector)
    #expect(vector.map { Int64(bitPattern: $0) } == [0, 2, 2, 0, -2, 1, -1, 16])
    // Times the weight before rounding: 3 · 0.25 · 2 = 1.5.
    try format.encode([0.25] as [Float], weight: 3, block: "update", at: 7, into: &vector)
    #expect(vector[7] == 2)
  }

  /// The weighted mean of six sites' floats, against Double: within 2⁻²⁵ of the clip.
  @Test func theMeanIsWithinItsBound() throws {
    let sites = 6
    let plan = try BitPlan(
      updateClip: 8, rowsBound: 1 << 20, statisticsBound: 1e6, sites: sites, weightBound: 1 << 20)
    let format = try format(plan.update, count: 1000)
    var numbers = SeededNumbers(3)
    var sum = format.vector()
    var expected = [Double](repeating: 0, count: 1000)
    var weights = 0
    for _ in 0..<sites {
      let weight = Int.random(in: 1...1 << 20, using: &numbers)
      let values = (0..<1000).map { _ in Float.random(in: -8...8, using: &numbers) }
      var vector = format.vector()
      try format.encode(values, weight: weight, block: "update", into: &vector)
      for index in 0..<1000 {
        sum[index] &+= vector[index]
        expected[index] += Double(values[index]) * Double(weight)
      }
      weights += weight
    }
    let decoded = try format.decode(sum, block: "update")
    for index in 0..<1000 {
      #expect(abs(decoded[index] - expected[index]) / Double(weights) <= 8 * 0x1p-25)
    }
  }

  /// The mean of n stochastic roundings of a value with fraction f has a deviation of √(f(1 − f)/n) ≤ 1/(2√n): six of them are 0.03
  /// for 10,000, and a fair rounding is outside once in 10⁹ runs; the seed makes it the same run.
  @Test func stochasticRoundingHasTheRightMean() throws {
    let count = 10_000
    let format = try format(.fixedPoint(clip: 8, fractionBits: 0, weightBound: 1), count: count)
    for value in [0.1, 0.5, 0.9, -0.3] {
      var numbers = SeededNumbers(4)
      var vector = format.vector()
      try format.encode(
        [Double](repeating: value, count: count), block: "update", into: &vector, stochastic: &numbers)
      let below = value.rounded(.down)
      #expect(vector.allSatisfy { [below, below + 1].contains(Double(Int64(bitPattern: $0))) })
      let mean = vector.reduce(0.0) { $0 + Double(Int64(bitPattern: $1)) } / Double(count)
      #expect(abs(mean - value) < 0.03)
    }
    var numbers = SeededNumbers(5)
    var whole = format.vector()
    try format.encode([Float](repeating: -8, count: count), block: "update", into: &whole, stochastic: &numbers)
    #expect(whole.allSatisfy { Int64(bitPattern: $0) == -8 })
  }

  // MARK: - Refusals

  @Test func aValueOutsideItsClipIsRefusedByItsPlace() throws {
    let format = try format(.fixedPoint(clip: 8, fractionBits: 20, weightBound: 4))
    var vector = format.vector()
    #expect(throws: FixedPointError.outOfClip(block: "update", index: 2)) {
      try format.encode([1, -8, 8.001] as [Float], block: "update", into: &vector)
    }
    #expect(throws: FixedPointError.outOfClip(block: "update", index: 3)) {
      try format.encode([1, Float(8).nextUp] as [Float], block: "update", at: 2, into: &vector)
    }
    var numbers = SeededNumbers(6)
    #expect(throws: FixedPointError.outOfClip(block: "update", index: 0)) {
      try format.encode([-9] as [Double], block: "update", into: &vector, stochastic: &numbers)
    }
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func aValueThatIsNoNumberIsRefusedByItsPlace(_ value: Double) throws {
    let format = try format(.fixedPoint(clip: 8, fractionBits: 20, weightBound: 4))
    var vector = format.vector()
    #expect(throws: FixedPointError.notFinite(block: "update", index: 1)) {
      try format.encode([0, value], block: "update", into: &vector)
    }
    #expect(throws: FixedPointError.notFinite(block: "update", index: 0)) {
      try format.encode([Float(value)], block: "update", into: &vector)
    }
  }

  @Test func aWeightOutsideItsBoundIsRefused() throws {
    let format = try format(.fixedPoint(clip: 8, fractionBits: 20, weightBound: 4))
    var vector = format.vector()
    for weight in [0, -1, 5] {
      #expect(throws: FixedPointError.weight(block: "update")) {
        try format.encode([1] as [Double], weight: weight, block: "update", into: &vector)
      }
    }
  }

  @Test func anIntegerOutsideItsBoundIsRefused() throws {
    let format = try format(.integer(bound: 100))
    var vector = format.vector()
    try format.encode(integers: [100, -100], block: "update", at: 2, into: &vector)
    #expect(try format.decodeIntegers(vector, block: "update") == [0, 0, 100, -100])
    for value in [101, -101, Int.min, Int.max] {
      #expect(throws: FixedPointError.outOfClip(block: "update", index: 1)) {
        try format.encode(integers: [0, value], block: "update", into: &vector)
      }
    }
  }

  @Test func whatDoesNotFitItsBlockIsRefused() throws {
    let format = try VectorFormat(
      blocks: [
        .init(name: "update", count: 2, kind: .fixedPoint(clip: 8, fractionBits: 20, weightBound: 1)),
        .init(name: "rows", count: 1, kind: .integer(bound: 10)),
      ], sites: 2)
    var vector = format.vector()
    var short: [UInt64] = [0]
    #expect(throws: FixedPointError.self) { try format.encode([1, 2, 3] as [Float], block: "update", into: &vector) }
    #expect(throws: FixedPointError.self) { try format.encode([1] as [Float], block: "update", at: 2, into: &vector) }
    #expect(throws: FixedPointError.self) { try format.encode([1] as [Float], block: "update", at: -1, into: &vector) }
    #expect(throws: FixedPointError.self) { try format.encode([1] as [Float], block: "rows", into: &vector) }
    #expect(throws: FixedPointError.self) { try format.encode([1] as [Float], block: "other", into: &vector) }
    #expect(throws: FixedPointError.self) { try format.encode([1] as [Float], block: "update", into: &short) }
    #expect(throws: FixedPointError.self) { try format.encode(integers: [1], block: "update", into: &vector) }
    #expect(throws: FixedPointError.self) { try format.decode(vector, block: "rows") }
    #expect(throws: FixedPointError.self) { try format.decodeIntegers(vector, block: "update") }
    #expect(vector == format.vector())
    #expect(format.range(of: "rows") == 2..<3)
    #expect(format.range(of: "other") == nil)
  }

  @Test func layoutsThatCannotBeAreRefused() throws {
    let kind = VectorFormat.Kind.integer(bound: 1)
    let layouts: [[VectorFormat.Block]] = [
      [], [.init(name: "", count: 1, kind: kind)], [.init(name: "a\n", count: 1, kind: kind)],
      [.init(name: String(repeating: "a", count: 81), count: 1, kind: kind)],
      [.init(name: "a", count: 1, kind: kind), .init(name: "a", count: 1, kind: kind)],
      [.init(name: "a", count: 0, kind: kind)], [.init(name: "a", count: .max, kind: kind)],
      [.init(name: "a", count: 1, kind: .integer(bound: 0))],
      [.init(name: "a", count: 1, kind: .integer(bound: .max))],
      [.init(name: "a", count: 1, kind: .fixedPoint(clip: 1, fractionBits: -1, weightBound: 1))],
      [.init(name: "a", count: 1, kind: .fixedPoint(clip: 1, fractionBits: 62, weightBound: 1))],
      [.init(name: "a", count: 1, kind: .fixedPoint(clip: .nan, fractionBits: 1, weightBound: 1))],
      [.init(name: "a", count: 1, kind: .fixedPoint(clip: 1, fractionBits: 1, weightBound: 0))],
      (0...2).map { .init(name: "\($0)", count: 1 << 39, kind: kind) },
    ]
    for blocks in layouts {
      #expect(throws: FixedPointError.self) { try VectorFormat(blocks: blocks, sites: 2) }
    }
    #expect(throws: FixedPointError.self) {
      try VectorFormat(blocks: [.init(name: "a", count: 1, kind: kind)], sites: 1001)
    }
  }

  @Test func whateverDecidesWhatAnEntryMeansIsInTheDigest() throws {
    func digest(
      _ name: String = "a", _ count: Int = 2, _ clip: Double = 8, _ fraction: Int = 20, _ weight: Int = 4,
      _ sites: Int = 6
    ) throws -> [UInt8] {
      let kind = VectorFormat.Kind.fixedPoint(clip: clip, fractionBits: fraction, weightBound: weight)
      return try VectorFormat(blocks: [.init(name: name, count: count, kind: kind)], sites: sites).digest
    }
    let digests = [
      try digest(), try digest("b"), try digest("a", 3), try digest("a", 2, 7), try digest("a", 2, 8, 21),
      try digest("a", 2, 8, 20, 5), try digest("a", 2, 8, 20, 4, 7),
    ]
    #expect(Set(digests).count == digests.count)
    #expect(try digest() == digests[0])
    #expect(digests[0].count == 32)
  }
}
