import Testing

@testable import Numerics

/// Products whose operands and results are kept as bfloat16, beside those of the same numbers in `Float`: the same bits, rounded once.
@Suite struct NarrowProductTests {
  /// Of every path that this processor has, and every emulation.
  static let libraries: [(name: String, library: PackedKernels)] =
    KernelPath.allCases.filter(\.isAvailable).map { ($0.rawValue, PackedKernels(path: $0)) }
    + KernelPath.allCases.map { ("\($0.rawValue), emulated", PackedKernels(emulating: $0)) }

  /// Less than a tile, more than one, and a depth of several blocks of every path.
  static let sizes = [
    PackedProduct.Sizes(m: 5, n: 7, k: 3), PackedProduct.Sizes(m: 33, n: 40, k: 70),
    PackedProduct.Sizes(m: 70, n: 300, k: 31), PackedProduct.Sizes(m: 19, n: 35, k: 2100),
  ]

  private struct Narrow {
    let buffer: MatrixBuffer<BFloat16>
    /// The same numbers.
    let widened: MatrixBuffer<Float>

    init(_ rows: Int, _ columns: Int, seed: UInt64, _ numbers: PackedProduct.Numbers = .moderate) {
      var state = seed
      buffer = MatrixBuffer(rows: rows, columns: columns)
      widened = MatrixBuffer(rows: rows, columns: columns)
      for index in 0..<buffer.count { buffer.elements[index] = BFloat16(numbers.next(&state)) }
      buffer.view.widen(into: widened.view)
    }

    var view: MatrixView<BFloat16> { buffer.view }
  }

  private static func bits(_ buffer: MatrixBuffer<BFloat16>) -> [UInt16] {
    buffer.elements.map { $0.widened.isNaN ? 0x7FC0 : $0.bitPattern }
  }

  private static func rounded(_ buffer: MatrixBuffer<Float>) -> [UInt16] {
    buffer.elements.map { $0.isNaN ? 0x7FC0 : BFloat16($0).bitPattern }
  }

  @Test(arguments: sizes, [false, true]) func bitsAreThoseOfFloatsRoundedOnce(
    _ sizes: PackedProduct.Sizes, _ accumulates: Bool
  ) {
    for (name, library) in Self.libraries {
      for (transposeA, transposeB) in [(false, false), (false, true), (true, false)] {
        let a = Narrow(transposeA ? sizes.k : sizes.m, transposeA ? sizes.m : sizes.k, seed: 1)
        let b = Narrow(transposeB ? sizes.n : sizes.k, transposeB ? sizes.k : sizes.n, seed: 2)
        let c = Narrow(sizes.m, sizes.n, seed: 3)
        let compute = Compute(workers: Workers(threads: 1), library: library, precision: .bfloat16)
        // Into floats, from operands of each kind.
        let expected = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
        _ = expected.elements.update(fromContentsOf: c.widened.elements)
        let mixed = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
        _ = mixed.elements.update(fromContentsOf: c.widened.elements)
        compute.multiplyOnCallingThread(
          a.widened.view, transposeA: transposeA, b.widened.view, transposeB: transposeB, alpha: 0.5,
          accumulates: accumulates, into: expected.view)
        compute.multiplyOnCallingThread(
          a.view, transposeA: transposeA, b.widened.view, transposeB: transposeB, alpha: 0.5,
          accumulates: accumulates, into: mixed.view)
        #expect(mixed.elements.map(\.bitPattern) == expected.elements.map(\.bitPattern), "\(name)")
        compute.multiply(
          a.view, transposeA: transposeA, b.view, transposeB: transposeB, alpha: 0.5, accumulates: accumulates,
          into: c.view)
        #expect(Self.bits(c.buffer) == Self.rounded(expected), "\(name), \(transposeA) \(transposeB)")
      }
    }
  }

  /// Infinities, NaN and numbers below the smallest normal one.
  @Test(arguments: PackedProduct.Numbers.allCases) func anyBitsAreTakenAsTheirFloatsAre(
    _ numbers: PackedProduct.Numbers
  ) {
    for (name, library) in Self.libraries {
      let (a, b) = (Narrow(18, 50, seed: 4, numbers), Narrow(50, 33, seed: 5, numbers))
      let c = MatrixBuffer<BFloat16>(rows: 18, columns: 33)
      let expected = MatrixBuffer<Float>(rows: 18, columns: 33)
      let compute = Compute(workers: Workers(threads: 1), library: library, precision: .bfloat16)
      compute.multiply(a.view, b.view, into: c.view)
      compute.multiply(a.widened.view, b.widened.view, into: expected.view)
      #expect(Self.bits(c) == Self.rounded(expected), "\(name)")
    }
  }

  /// A second product, a bias, a function with its derivative and a residual, over several blocks of columns, and a weight that was packed before.
  @Test func theEpilogueIsInFloatsBeforeTheRounding() throws {
    for (name, library) in Self.libraries where !name.contains("emulated") {
      let (m, n, k) = (40, 530, 900)
      let (a, w, x, u) = (Narrow(m, k, seed: 1), Narrow(n, k, seed: 2), Narrow(m, 6, seed: 3), Narrow(n, 6, seed: 4))
      let (bias, residual) = (Narrow(1, n, seed: 5), Narrow(m, n, seed: 6))
      let compute = Compute(workers: Workers(threads: 2), library: library, precision: .bfloat16)
      let packed = try #require(compute.packedMatrix(depth: k, columns: n))
      #expect(compute.packedBytes(depth: k, columns: n) == packed.byteCount)
      compute.pack(w.widened.view, transposed: true, into: packed)
      let (y, slopes) = (MatrixBuffer<BFloat16>(rows: m, columns: n), MatrixBuffer<BFloat16>(rows: m, columns: n))
      compute.multiply(
        a.view, w.widened.view, transposeB: true, packed: packed, alpha: 1e-3, into: y.view,
        adding: ProductTerm(x.view, u.widened.view, transposeB: true, alpha: 2),
        then: .activation(.gelu, bias: bias.widened.view, slopes: slopes.view, residual: residual.view))
      let (z, expectedSlopes) = (MatrixBuffer<Float>(rows: m, columns: n), MatrixBuffer<Float>(rows: m, columns: n))
      compute.multiply(
        a.widened.view, w.widened.view, transposeB: true, alpha: 1e-3, into: z.view,
        adding: ProductTerm(x.widened.view, u.widened.view, transposeB: true, alpha: 2),
        then: .activation(
          .gelu, bias: bias.widened.view, slopes: expectedSlopes.view, residual: residual.widened.view))
      #expect(Self.bits(y) == Self.rounded(z), "\(name)")
      #expect(Self.bits(slopes) == Self.rounded(expectedSlopes), "\(name)")
    }
  }

  @Test func aDepthOfNothingIsTheEpilogueAlone() {
    let c = Narrow(3, 20, seed: 7)
    let compute = Compute(workers: Workers(threads: 1), precision: .bfloat16)
    let (a, b) = (MatrixBuffer<BFloat16>(rows: 3, columns: 0), MatrixBuffer<Float>(rows: 0, columns: 20))
    compute.multiply(a.view, b.view, accumulates: true, into: c.view)
    #expect(Self.bits(c.buffer) == Self.rounded(c.widened))
    compute.multiply(a.view, b.view, into: c.view)
    #expect(c.buffer.elements.allSatisfy { $0 == 0 })
  }

  @Test func bitsDoNotDependOnThreads() {
    let (a, b) = (Narrow(700, 90, seed: 8), Narrow(90, 500, seed: 9))
    let results = [1, 2, 5].map { threads in
      let c = MatrixBuffer<BFloat16>(rows: 700, columns: 500)
      Compute(workers: Workers(threads: threads), precision: .bfloat16).multiply(a.view, b.view, into: c.view)
      return Self.bits(c)
    }
    #expect(results[1] == results[0] && results[2] == results[0])
  }

  @Test func packedBytesThatOverflowAreNone() {
    let compute = Compute(workers: Workers(threads: 1), precision: .bfloat16)
    #expect(compute.packedBytes(depth: .max, columns: 2) == nil)
    #expect(compute.packedBytes(depth: 1 << 40, columns: 1 << 22) == nil)
    #expect(Compute(threads: 1).packedBytes(depth: .max, columns: 2) == 0)
  }
}
