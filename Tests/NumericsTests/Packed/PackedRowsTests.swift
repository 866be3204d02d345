import CKernels
import Testing

@testable import Numerics

/// Left operands that are packed once for several products.
@Suite struct PackedRowsTests {
  /// Less than a tile, tiles that begin within a kernel's rows, and a depth of several blocks of every path.
  static let sizes = [
    PackedProduct.Sizes(m: 1, n: 5, k: 7), PackedProduct.Sizes(m: 37, n: 40, k: 70),
    PackedProduct.Sizes(m: 530, n: 1100, k: 33), PackedProduct.Sizes(m: 45, n: 35, k: 2100),
  ]

  private static func narrow(_ view: MatrixView<Float>) -> MatrixBuffer<BFloat16> {
    let buffer = MatrixBuffer<BFloat16>(rows: view.rows, columns: view.columns)
    buffer.view.round(view)
    return buffer
  }

  private static func result(
    _ compute: Compute, _ a: StoredMatrix<Float>, _ b: MatrixView<Float>, packed: PackedMatrix? = nil,
    packedA: PackedRows? = nil
  ) -> [UInt32] {
    let c = MatrixBuffer<Float>(rows: a.rows, columns: b.columns)
    compute.multiply(a, .full(b), packed: packed, packedA: packedA, alpha: 0.5, into: .full(c.view))
    return PackedProduct.bits(Array(c.elements))
  }

  @Test(arguments: sizes, [ProductPrecision.bfloat16, .bfloat16x3])
  func bitsAreThoseOfAnOperandThatEveryTilePacks(_ sizes: PackedProduct.Sizes, _ precision: ProductPrecision) throws {
    let product = PackedProduct(sizes)
    let (a, b) = product.views
    for (name, library) in NarrowProductTests.libraries {
      let compute = Compute(workers: Workers(threads: 2), library: library, precision: precision)
      guard let form = compute.packedForm else { continue }
      let rows = PackedRows(rows: sizes.m, depth: sizes.k, form)
      compute.pack(.full(a), into: rows)
      let expected = Self.result(compute, .full(a), b)
      #expect(Self.result(compute, .full(a), b, packedA: rows) == expected, "\(name)")
      let panels = PackedMatrix(depth: sizes.k, columns: sizes.n, form)
      compute.pack(b, transposed: false, into: panels)
      #expect(Self.result(compute, .full(a), b, packed: panels, packedA: rows) == expected, "\(name)")
      guard precision == .bfloat16 else { continue }
      let (left, right) = (Self.narrow(a), Self.narrow(b))
      compute.pack(Float.Narrow.stored(left.view), into: rows)
      compute.pack(Float.Narrow.stored(right.view), transposed: false, into: panels)
      #expect(Self.result(compute, .narrow(left.view), b, packed: panels, packedA: rows) == expected, "\(name)")
    }
  }

  /// Memory that another operand was in, larger and smaller ones, and what a kernel reads beyond the last row.
  @Test func memoryIsUsedAgain() throws {
    let compute = Compute(workers: Workers(threads: 1), precision: .bfloat16)
    let form = try #require(compute.packedForm)
    let (left, right) = (PackedUnits(), PackedUnits())
    for sizes in [Self.sizes[2], Self.sizes[1], Self.sizes[3], Self.sizes[0]] {
      let product = PackedProduct(sizes, .anyBits)
      let (a, b) = product.views
      let rows = PackedRows(rows: sizes.m, depth: sizes.k, form, in: left)
      let panels = PackedMatrix(depth: sizes.k, columns: sizes.n, form, in: right)
      compute.pack(.full(a), into: rows)
      compute.pack(b, transposed: false, into: panels)
      #expect(
        Self.result(compute, .full(a), b, packed: panels, packedA: rows) == Self.result(compute, .full(a), b),
        "\(sizes)")
    }
  }

  /// A unit is four bytes; rows lie a cache line and what fills one apart, and a kernel's rows more are read.
  @Test func bytesAreCounted() throws {
    let narrow = PackedForm(layout: PackedLayout(CKERNELS_PRODUCT_EMULATED_AVX512_BF16), parts: 1)
    #expect(narrow.rowsBytes(rows: 100, depth: 64) == 4 * (32 + 16) * (100 + 12))
    #expect(narrow.rowsBytes(rows: 100, depth: 4096) == 4 * 2 * (1024 + 16) * (100 + 12))
    let tiles = PackedForm(layout: PackedLayout(CKERNELS_PRODUCT_EMULATED_AMX), parts: 2)
    #expect(tiles.rowsBytes(rows: 7, depth: 40) == 4 * (32 + 16) * (7 + 32) * 2)
    #expect(narrow.rowsBytes(rows: 0, depth: 0) == 0)
    for (rows, depth) in [(Int.max, 2), (2, .max), (1 << 40, 1 << 40), (1 << 58, 16)] {
      #expect(
        narrow.rowsBytes(rows: rows, depth: depth) == nil && narrow.matrixBytes(depth: depth, columns: rows) == nil)
    }
    #expect(Compute(threads: 1).packedForm == nil)
    #expect(
      Compute(workers: Workers(threads: 1), precision: .bfloat16x3).packedForm == nil
        || KernelPath.ofThisProcessor == .amx)
  }
}
