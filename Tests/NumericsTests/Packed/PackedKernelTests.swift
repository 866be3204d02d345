import Testing

@testable import Numerics

/// bfloat16 products beside plain loops, bit for bit.
@Suite struct PackedKernelTests {
  /// One tile and many, odd edges, an inner size of 1, and depths of several blocks (768 and 2048 are the longest of one).
  static let sizes = [
    PackedProduct.Sizes(m: 1, n: 1, k: 1), PackedProduct.Sizes(m: 3, n: 5, k: 7),
    PackedProduct.Sizes(m: 12, n: 32, k: 32),
    PackedProduct.Sizes(m: 13, n: 33, k: 31), PackedProduct.Sizes(m: 37, n: 17, k: 65),
    PackedProduct.Sizes(m: 29, n: 100, k: 1),
    PackedProduct.Sizes(m: 5, n: 19, k: 1030), PackedProduct.Sizes(m: 2, n: 18, k: 2099),
  ]
  static let available = KernelPath.allCases.filter(\.isAvailable)

  /// The library, and how each number becomes bfloat16, by hand. A NaN stays one.
  private static let roundings: [(Float, Float)] = [
    (1, 1), (-3.140625, -3.140625), (1 + 0x1p-8, 1), (1 + 3 * 0x1p-8, 1 + 0x1p-6), (1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7),
    (-1 - 0x1p-8 - 0x1p-23, -1 - 0x1p-7), (255.5, 256), (0x1.fep127, 0x1.fep127), (0x1.ffp127, .infinity),
    (-.infinity, -.infinity), (.nan, .nan), (0x1p-126, 0x1p-126), (0, 0),
  ]

  @Test(arguments: available) func operandsAreRoundedToNearestEven(_ path: KernelPath) {
    for kernels in [PackedKernels(path: path), PackedKernels(emulating: path)] {
      for (number, rounded) in Self.roundings {
        for isLeft in [true, false] {
          let compute = Compute(workers: Workers(threads: 1), library: kernels, precision: .bfloat16)
          let (x, one, y) = (
            MatrixBuffer<Float>(rows: 1, columns: 1), MatrixBuffer<Float>(rows: 1, columns: 1),
            MatrixBuffer<Float>(rows: 1, columns: 1)
          )
          (x.elements[0], one.elements[0]) = (number, 1)
          compute.multiply(isLeft ? x.view : one.view, isLeft ? one.view : x.view, into: y.view)
          #expect(PackedProduct.bits([y.elements[0]]) == PackedProduct.bits([rounded]), "\(number)")
        }
      }
    }
  }

  /// The path's instructions and plain C in their order, on whatever bits there are.
  @Test(arguments: available, PackedProduct.Numbers.allCases)
  func aPathHasTheBitsOfItsEmulation(_ path: KernelPath, _ numbers: PackedProduct.Numbers) {
    // The portable path's products are rounded before they are added, which shows beyond the range of floats alone.
    if path == .portable, numbers != .moderate { return }
    for sizes in Self.sizes {
      for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
        for (alpha, accumulates) in [(1.0, false), (0.37, false), (1.0, true), (-0.37, true)] {
          let product = PackedProduct(
            sizes, transposeA: transposeA, transposeB: transposeB, alpha: alpha, accumulates: accumulates, numbers)
          let own = product.result(PackedKernels(path: path))
          let emulated = product.result(PackedKernels(emulating: path))
          #expect(
            PackedProduct.bits(own) == PackedProduct.bits(emulated),
            "\(sizes) \(transposeA) \(transposeB) \(alpha) \(accumulates)")
        }
      }
    }
  }

  /// Low parts of numbers too, which of the paths of this processor only those of pairs have.
  @Test(arguments: PackedProduct.Numbers.allCases)
  func threePartsHaveTheBitsOfTheirEmulation(_ numbers: PackedProduct.Numbers) {
    let path = KernelPath.avx512BFloat16
    guard path.isAvailable else { return }
    for sizes in Self.sizes {
      for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
        let product = PackedProduct(sizes, transposeA: transposeA, transposeB: transposeB, numbers)
        let own = product.result(
          PackedKernels(path, PackedLayout(path.instructions), hasThreeParts: true), .bfloat16x3)
        let emulated = product.result(
          PackedKernels(path, PackedLayout(path.emulation), hasThreeParts: true), .bfloat16x3)
        #expect(PackedProduct.bits(own) == PackedProduct.bits(emulated), "\(sizes)")
      }
    }
  }

  /// Sums as documented, of operands that Swift's own arithmetic rounds.
  @Test(arguments: SummationOrder.allCases) func sumsAreInTheOrderOfThePath(_ order: SummationOrder) {
    for sizes in Self.sizes {
      let product = PackedProduct(sizes, transposeB: true, alpha: 0.5, accumulates: true)
      let kernels = order.kernels
      let stride = sizes.n + PackedProduct.extra
      let result = product.result(kernels)
      var expected = product.start
      for row in 0..<sizes.m {
        for column in 0..<sizes.n {
          var sum = product.before(row, column)
          for number in 0..<kernels.layout.blocks(ofDepth: sizes.k) {
            let block = kernels.layout.block(number, ofDepth: sizes.k)
            sum +=
              0.5
              * order.sum(
                block.map { roundedToBFloat16(product.left(row, $0)) },
                block.map { roundedToBFloat16(product.right($0, column)) })
          }
          expected[row * stride + column] = sum
        }
      }
      #expect(result == expected, "\(sizes)")
    }
  }

  @Test(arguments: available) func emptyProducts(_ path: KernelPath) {
    for sizes in [(0, 5, 3), (5, 0, 3), (5, 3, 0), (0, 0, 0)] {
      for accumulates in [false, true] {
        let product = PackedProduct(
          PackedProduct.Sizes(m: sizes.0, n: sizes.1, k: sizes.2), accumulates: accumulates)
        var expected = product.start
        let stride = sizes.1 + PackedProduct.extra
        for row in 0..<sizes.0 where !accumulates {
          for column in 0..<sizes.1 { expected[row * stride + column] = 0 }
        }
        #expect(product.result(PackedKernels(path: path)) == expected)
      }
    }
  }

  @Test(arguments: available) func bitsDoNotDependOnThreads(_ path: KernelPath) {
    for sizes in [PackedProduct.Sizes(m: 1040, n: 300, k: 70), PackedProduct.Sizes(m: 16, n: 2100, k: 800)] {
      let product = PackedProduct(sizes, transposeB: true)
      #expect(Compute.tiles(m: sizes.m, n: sizes.n, k: sizes.k) > 1)
      let kernels = PackedKernels(path: path)
      let alone = product.result(kernels, threads: 1)
      #expect(product.result(kernels, threads: 3) == alone)
      #expect(product.result(kernels) == alone)
    }
  }

  /// Paths of floats give the same bits, whichever instructions they have.
  @Test func pathsOfFloatsAgree() {
    let product = PackedProduct(PackedProduct.Sizes(m: 40, n: 50, k: 900), transposeB: true)
    let expected = product.result(PackedKernels(path: .portable))
    for path in [KernelPath.avx2, .avx512] where path.isAvailable {
      #expect(product.result(PackedKernels(path: path)) == expected)
    }
  }

  @Test func doublesAreNotRounded() {
    let x = MatrixBuffer<Double>(rows: 1, columns: 1)
    x.elements[0] = 1 + 0x1p-40
    let y = MatrixBuffer<Double>(rows: 1, columns: 1)
    Compute(workers: Workers(threads: 1), precision: .bfloat16).multiply(x.view, x.view, into: y.view)
    #expect(y.elements[0] == (1 + 0x1p-40) * (1 + 0x1p-40))
  }
}
