import Testing

@testable import Numerics

/// Epilogues and operands packed before, beside the same without.
@Suite struct PackedEpilogueTests {
  /// Several blocks of rows, of columns of the epilogue, and tiles; for the AMX emulation one.
  private static let large = PackedProduct.Sizes(m: 530, n: 619, k: 40)
  private static let small = PackedProduct.Sizes(m: 21, n: 37, k: 40)

  private static var cases: [(PackedKernels, PackedProduct.Sizes)] {
    PackedKernelTests.available.map { (PackedKernels(path: $0), large) }
      + SummationOrder.allCases.map { ($0.kernels, small) }
  }

  private static func buffer(_ rows: Int, _ columns: Int, seed: UInt64) -> MatrixBuffer<Float> {
    let buffer = MatrixBuffer<Float>(rows: rows, columns: columns)
    var state = seed
    for index in 0..<buffer.count { buffer.elements[index] = PackedProduct.Numbers.moderate.next(&state) }
    return buffer
  }

  /// The product alone, without the columns that are too many.
  private static func plain(_ kernels: PackedKernels, _ product: PackedProduct) -> MatrixBuffer<Float> {
    let (m, n) = (product.sizes.m, product.sizes.n)
    let buffer = MatrixBuffer<Float>(rows: m, columns: n)
    let result = product.result(kernels)
    for row in 0..<m {
      for column in 0..<n { buffer.elements[row * n + column] = result[row * (n + PackedProduct.extra) + column] }
    }
    return buffer
  }

  private static func rows(_ result: [Float], _ sizes: PackedProduct.Sizes) -> [Float] {
    let stride = sizes.n + PackedProduct.extra
    return (0..<sizes.m).flatMap { result[$0 * stride..<$0 * stride + sizes.n] }
  }

  /// Elementwise kernels have the same bits in tiles as over a whole matrix.
  @Test func activationsFollowTheProduct() {
    for (kernels, sizes) in Self.cases {
      let product = PackedProduct(sizes, transposeB: true)
      let (bias, residual) = (Self.buffer(1, sizes.n, seed: 1), Self.buffer(sizes.m, sizes.n, seed: 2))
      let slopes = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
      for threads in [1, 3] {
        let expected = Self.plain(kernels, product)
        let expectedSlopes = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
        Float.activate(.gelu, expected.view, bias: bias.view.base, slopes: expectedSlopes.view, residual: residual.view)
        slopes.elements.update(repeating: .nan)
        let result = product.result(
          kernels, threads: threads,
          then: .activation(.gelu, bias: bias.view, slopes: slopes.view, residual: residual.view))
        #expect(Self.rows(result, sizes) == Array(expected.elements))
        #expect(Array(slopes.elements) == Array(expectedSlopes.elements))
      }
    }
  }

  /// Sums of squares are added in Double in another order: by at most as many roundings as there are parts.
  @Test func squaresAreOfWhatStandsAfterwards() {
    for (kernels, sizes) in Self.cases {
      let product = PackedProduct(sizes, alpha: 0.5, accumulates: true)
      let squares = PartialSums(count: Compute.tiles(m: sizes.m, n: sizes.n, k: sizes.k))
      for tile in 0..<Compute.tiles(m: sizes.m, n: sizes.n, k: sizes.k) { squares[tile] = .nan }
      let result = product.result(kernels, threads: 2, then: .sumOfSquares(into: squares))
      let expected = Self.rows(result, sizes).reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(Array(result) == product.result(kernels))
      #expect(abs(squares.total - expected) <= 1e-12 * expected)
    }
  }

  @Test func polynomialsHaveTheirConstantOnTheDiagonal() {
    for (kernels, _) in Self.cases {
      let side = 40
      let product = PackedProduct(PackedProduct.Sizes(m: side, n: side, k: 30))
      let x = Self.buffer(side, side, seed: 3)
      let plain = Self.plain(kernels, product)
      let result = product.result(kernels, threads: 2, then: .polynomial(linear: 2, x.view, constant: 5))
      for (index, value) in Self.rows(result, product.sizes).enumerated() {
        let expected = plain.elements[index] + 2 * x.elements[index]
        // Adding may be fused with the factor, which is a power of 2: the same either way.
        #expect(value == (index / side == index % side ? expected + 5 : expected))
      }
    }
  }

  /// c d is a product of its own kind, after which the epilogue comes once.
  @Test func aSecondProductIsAddedBeforeTheEpilogue() {
    for (kernels, sizes) in Self.cases {
      let product = PackedProduct(sizes)
      let (c, d) = (Self.buffer(sizes.m, 3, seed: 4), Self.buffer(3, sizes.n, seed: 5))
      let compute = Compute(workers: Workers(threads: 2), library: kernels, precision: .bfloat16)
      let expected = Self.plain(kernels, product)
      compute.multiply(c.view, d.view, alpha: 3, accumulates: true, into: expected.view)
      Float.activate(.relu, expected.view, bias: nil, slopes: nil, residual: nil)
      let y = MatrixBuffer<Float>(rows: sizes.m, columns: sizes.n)
      compute.multiply(
        product.views.a, product.views.b, into: y.view, adding: ProductTerm(c.view, d.view, alpha: 3),
        then: .activation(.relu, bias: nil, slopes: nil as MatrixView<Float>?, residual: nil))
      #expect(Array(y.elements) == Array(expected.elements))
    }
  }

  /// In tiles that begin within the packed matrix, along several blocks of depth.
  @Test func operandsPackedBeforeGiveTheSameBits() throws {
    let sizes = [
      Self.small, Self.large, PackedProduct.Sizes(m: 20, n: 700, k: 900), PackedProduct.Sizes(m: 3, n: 17, k: 2100),
    ]
    for path in PackedKernelTests.available {
      for sizes in sizes {
        for transposeB in [false, true] {
          let product = PackedProduct(sizes, transposeB: transposeB)
          let kernels = PackedKernels(path: path)
          let compute = Compute(workers: Workers(threads: 2), library: kernels, precision: .bfloat16)
          let packed = try #require(compute.packedMatrix(depth: sizes.k, columns: sizes.n))
          compute.pack(product.views.b, transposed: transposeB, into: packed)
          let expected = product.result(kernels)
          #expect(product.result(kernels, packed: packed) == expected)
          #expect(product.result(kernels, threads: 3, packed: packed) == expected)
          // It is read, not the matrix beside it.
          product.b.elements.update(repeating: .nan)
          #expect(product.result(kernels, threads: 3, packed: packed) == expected)
        }
      }
    }
  }

  /// 2 or 4 bytes a number, with panels of 16 columns; and none where there is no use for one.
  @Test func packedMatricesSayTheirMemory() throws {
    for path in PackedKernelTests.available {
      let compute = Compute(workers: Workers(threads: 1), library: PackedKernels(path: path), precision: .bfloat16)
      let bytes = try #require(compute.packedMatrix(depth: 64, columns: 40)).byteCount
      #expect(bytes == 64 * 48 * ([.amx, .avx512BFloat16].contains(path) ? 2 : 4))
    }
    #expect(Compute(threads: 1).packedMatrix(depth: 64, columns: 40) == nil)
    if KernelPath.ofThisProcessor != .amx {
      let compute = Compute(workers: Workers(threads: 1), precision: .bfloat16x3)
      #expect(compute.packedMatrix(depth: 64, columns: 40) == nil)
    }
  }

  /// A path that has another layout packs anew.
  @Test func operandsPackedForAnotherPathAreNotRead() throws {
    let product = PackedProduct(Self.small, transposeB: true)
    let (pairs, single) = (SummationOrder.pairs.kernels, SummationOrder.single.kernels)
    let compute = Compute(workers: Workers(threads: 1), library: pairs, precision: .bfloat16)
    let packed = try #require(compute.packedMatrix(depth: Self.small.k, columns: Self.small.n))
    #expect(product.result(single, packed: packed) == product.result(single))
  }
}
