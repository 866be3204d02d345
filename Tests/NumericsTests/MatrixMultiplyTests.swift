import Testing

@testable import Numerics

/// The tiled product beside the triple loop that defines it.
@Suite struct MatrixMultiplyTests {
  struct Sizes: Sendable, CustomStringConvertible {
    let m: Int
    let n: Int
    let k: Int
    var description: String { "\(m)×\(n)×\(k)" }
  }

  /// One tile and many, odd edges, few rows, few columns, an inner size of 1, and shapes that are computed in parts.
  static let sizes = [
    Sizes(m: 1, n: 1, k: 1), Sizes(m: 3, n: 5, k: 7), Sizes(m: 16, n: 300, k: 513), Sizes(m: 130, n: 10, k: 1030),
    Sizes(m: 10, n: 770, k: 257), Sizes(m: 97, n: 131, k: 1), Sizes(m: 520, n: 1100, k: 20),
    Sizes(m: 300, n: 280, k: 64),
  ]

  /// Entries are small integers, so that every sum is exact in either format and any order of adding gives the same bits.
  static func integers<Element: FloatingElement>(_ rows: Int, _ columns: Int, seed: Int) -> MatrixBuffer<Element> {
    let buffer = MatrixBuffer<Element>(rows: rows, columns: columns)
    for index in 0..<buffer.count { buffer.elements[index] = Element((index * 7 + seed * 3 + index / 5) % 9 - 4) }
    return buffer
  }

  static func product<Element: FloatingElement>(
    _: Element.Type, _ sizes: Sizes, transposeA: Bool, transposeB: Bool, accumulates: Bool, threads: Int?
  ) -> [Element] {
    // Rows are longer than the matrices: the rest must be neither read nor written.
    let extra = 3
    let a: MatrixBuffer<Element> = integers(
      transposeA ? sizes.k : sizes.m, (transposeA ? sizes.m : sizes.k) + extra, seed: 1)
    let b: MatrixBuffer<Element> = integers(
      transposeB ? sizes.n : sizes.k, (transposeB ? sizes.k : sizes.n) + extra, seed: 2)
    let c: MatrixBuffer<Element> = integers(sizes.m, sizes.n + extra, seed: 3)
    let whole = { (buffer: MatrixBuffer<Element>) in
      buffer.view.block(rows: 0..<buffer.rows, columns: 0..<buffer.columns - extra)
    }
    if let threads {
      Compute(threads: threads).multiply(
        whole(a), transposeA: transposeA, whole(b), transposeB: transposeB, alpha: 2, accumulates: accumulates,
        into: whole(c))
    } else {
      let term = ProductTerm(whole(a), transposeA: transposeA, whole(b), transposeB: transposeB, alpha: 2)
      MatrixProduct(term, accumulates: accumulates, into: whole(c)).multiplyDirectly()
    }
    return Array(c.elements)
  }

  @Test(arguments: sizes) func equalsTheTripleLoop(_ sizes: Sizes) {
    for transposeA in [false, true] {
      for transposeB in [false, true] {
        for accumulates in [false, true] {
          let single = Self.product(
            Float.self, sizes, transposeA: transposeA, transposeB: transposeB, accumulates: accumulates, threads: 2)
          let double = Self.product(
            Double.self, sizes, transposeA: transposeA, transposeB: transposeB, accumulates: accumulates, threads: 2)
          let expected = Self.product(
            Double.self, sizes, transposeA: transposeA, transposeB: transposeB, accumulates: accumulates, threads: nil)
          #expect(double == expected)
          #expect(single.map(Double.init) == expected)
        }
      }
    }
  }

  @Test(arguments: [
    Sizes(m: 1024, n: 300, k: 700), Sizes(m: 16, n: 512, k: 2050), Sizes(m: 64, n: 512, k: 2050),
    Sizes(m: 512, n: 2051, k: 64),
  ]) func bitsDoNotDependOnThreads(_ sizes: Sizes) {
    // Entries with full mantissas: another order of adding would show.
    let a = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.k)
    let b = MatrixBuffer<Float>(rows: sizes.n, columns: sizes.k)
    for index in 0..<a.count { a.elements[index] = 1 / Float(index % 1013 + 3) }
    for index in 0..<b.count { b.elements[index] = 1 / Float(index % 997 + 7) }
    let results = [1, 2, 3, 7].map { threads in
      let c = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
      Compute(threads: threads).multiply(a.view, b.view, transposeB: true, into: c.view)
      return c.elements.map(\.bitPattern)
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }

  @Test func anOverwrittenResultMayHoldAnything() {
    let a: MatrixBuffer<Float> = Self.integers(4, 4, seed: 1)
    let c = MatrixBuffer<Float>(rows: 4, columns: 4)
    c.elements.update(repeating: .nan)
    Compute(threads: 1).multiply(a.view, a.view, into: c.view)
    #expect(c.elements.allSatisfy { $0.isFinite })
  }

  @Test func anEmptyInnerSizeGivesZeros() {
    let empty = MatrixBuffer<Double>(rows: 3, columns: 0)
    let c: MatrixBuffer<Double> = Self.integers(3, 3, seed: 1)
    Compute(threads: 1).multiply(empty.view, empty.view, transposeB: true, into: c.view)
    #expect(c.elements.allSatisfy { $0 == 0 })
  }

  @Test func sizesBeyondBLASIntegersAreComputedWithoutIt() {
    let beyond = Int(Int32.max) + 1
    #expect(BLASSizes(m: 1, n: 1, k: 1, leadingA: beyond, leadingB: 1, leadingC: 1) == nil)
    // One row, so that the enormous distance to the next is never walked.
    var c: Float = 0
    let (a, b) = (MatrixBuffer<Float>(rows: 1, columns: 2), MatrixBuffer<Float>(rows: 1, columns: 2))
    (a.elements[0], a.elements[1], b.elements[0], b.elements[1]) = (2, 3, 5, 7)
    withUnsafeMutablePointer(to: &c) { c in
      Compute(threads: 1).multiplyOnCallingThread(
        MatrixView(a.view.base, rows: 1, columns: 2, stride: beyond),
        MatrixView(b.view.base, rows: 1, columns: 2, stride: beyond), transposeB: true,
        into: MatrixView(c, rows: 1, columns: 1, stride: beyond))
    }
    #expect(c == 31)
  }

  @Test func tilesCoverEveryElementOnce() {
    for (m, n, k) in [
      (1, 1, 1), (16, 512, 2050), (700, 1500, 2000), (2048, 2051, 64), (33, 5000, 300), (5000, 3, 900),
      (661, 1500, 384),
    ] {
      let partition = TilePartition(m: m, n: n, k: k)
      var seen = Array(repeating: 0, count: m * n)
      for index in 0..<partition.count {
        let tile = partition.tile(index)
        for row in tile.rows {
          for column in tile.columns { seen[row * n + column] += 1 }
        }
      }
      #expect(seen.allSatisfy { $0 == 1 }, "\(m)×\(n)×\(k)")
    }
    #expect(TilePartition(m: 0, n: 4, k: 4).count == 0)
  }

  @Test func largeProductsHaveTilesForSeveralCores() {
    #expect(TilePartition(m: 2048, n: 2048, k: 2048).count == 8)
    #expect(TilePartition(m: 1024, n: 2048, k: 2048).tile(0) == (0..<512, 0..<1024))
    #expect(TilePartition(m: 1024, n: 1536, k: 384).tile(3) == (768..<1024, 0..<1536))
    #expect(TilePartition(m: 1536, n: 384, k: 1024).tile(1) == (384..<768, 0..<384))
    #expect(TilePartition(m: 16, n: 512, k: 2050).count == 4)
    #expect(TilePartition(m: 16, n: 128, k: 512).count == 1)
  }

  @Test func thinProductsAreCutBelowTheSmallKernelsLimit() throws {
    let micro = try #require(SkinnyProduct(m: 16, n: 512, k: 2050))
    #expect(micro.rows == 16)
    #expect(micro.rows * micro.columns * 2050 <= 1_000_000)
    #expect(SkinnyProduct(m: 64, n: 512, k: 2050) == nil)
    #expect(SkinnyProduct(m: 8, n: 8, k: 1 << 40) == nil)
  }
}
