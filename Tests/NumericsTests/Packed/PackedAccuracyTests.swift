import Testing

@testable import Numerics

/// Errors of bfloat16 products beside Double, and which path a processor gets.
@Suite struct PackedAccuracyTests {
  private static let sizes = [
    PackedProduct.Sizes(m: 9, n: 21, k: 5), PackedProduct.Sizes(m: 7, n: 18, k: 600),
    PackedProduct.Sizes(m: 4, n: 17, k: 2500),
  ]

  /// The largest error beside `bound(k)` Σ|a||b|, of 1; and the largest beside Σ|a||b| alone.
  private static func errors(
    _ kernels: PackedKernels, _ precision: ProductPrecision, _ sizes: PackedProduct.Sizes, bound: (Double) -> Double
  ) -> (share: Double, relative: Double) {
    let product = PackedProduct(sizes, transposeB: true)
    let result = product.result(kernels, precision)
    var largest = (share: 0.0, relative: 0.0)
    for row in 0..<sizes.m {
      for column in 0..<sizes.n {
        var (exact, magnitude) = (0.0, 0.0)
        for index in 0..<sizes.k {
          let term = Double(product.left(row, index)) * Double(product.right(index, column))
          exact += term
          magnitude += abs(term)
        }
        let error = abs(Double(result[row * (sizes.n + PackedProduct.extra) + column]) - exact) / magnitude
        largest = (max(largest.share, error / bound(Double(sizes.k))), max(largest.relative, error))
      }
    }
    return largest
  }

  private static var all: [PackedKernels] {
    SummationOrder.allCases.map(\.kernels) + PackedKernelTests.available.map { PackedKernels(path: $0) }
  }

  /// Each operand is rounded by at most u = 2⁻⁸ of itself, so a term by 2u + u²; a sum of k terms in order by k v of the terms' magnitudes,
  /// v = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), with (1 + u)² for the rounded terms; blocks and
  /// tiles add fewer than 8 + k/16 sums more.
  @Test func errorsAreWithinTheRoundingOfOperandsAndSums() {
    let (u, v) = (0x1p-8, 0x1p-24)
    for kernels in Self.all {
      for sizes in Self.sizes {
        let errors = Self.errors(kernels, .bfloat16, sizes) { k in
          2 * u + u * u + (k + 8 + k / 16) * v * (1 + u) * (1 + u) * 1.01
        }
        #expect(errors.share <= 1, "\(kernels.path) \(sizes)")
        // Operands are rounded at all.
        #expect(errors.relative > 1e-5, "\(kernels.path) \(sizes)")
      }
    }
  }

  /// Of both operands u² of themselves is lost after two parts, and the product of the low parts, at most u²: 3 u² and higher powers. Three
  /// sums of k terms each, of which two are smaller by u.
  @Test(arguments: [KernelPath.amx, .avx512BFloat16]) func threePartsLoseThreeSquares(_ path: KernelPath) {
    let (u, v) = (0x1p-8, 0x1p-24)
    let kernels = PackedKernels(path, PackedLayout(path.emulation), hasThreeParts: true)
    for sizes in Self.sizes {
      let errors = Self.errors(kernels, .bfloat16x3, sizes) { k in
        3 * u * u * (1 + 2 * u) + (k + 24 + k / 16) * v * (1 + 4 * u) * 1.01
      }
      #expect(errors.share <= 1, "\(sizes)")
      #expect(errors.relative < 0x1p-12)
    }
  }

  /// Without tiles three products take longer than one of floats.
  @Test func threePartsAreFloatsWithoutTiles() {
    for path in PackedKernelTests.available where path != .amx {
      let product = PackedProduct(Self.sizes[1], transposeB: true)
      let kernels = PackedKernels(path: path)
      #expect(product.result(kernels, .bfloat16x3) == product.result(kernels, .full))
      #expect(product.result(kernels, .bfloat16x3) != product.result(kernels, .bfloat16))
    }
  }

  private static let choices: [(ProcessorFeatures, KernelPath)] = [
    ([], .portable), ([.avx2], .avx2), ([.avx2, .avx512], .avx512),
    ([.avx2, .avx512, .avx512BFloat16], .avx512BFloat16),
    ([.avx2, .avx512, .avx512BFloat16, .amx], .amx),
    // Tiles alone are not enough: operands are packed by vectors of pairs.
    (ProcessorFeatures(rawValue: 8), .portable), (ProcessorFeatures(rawValue: 8 | 3), .avx512),
  ]

  @Test(arguments: choices) func theBestPathOfTheFeatures(_ features: ProcessorFeatures, _ expected: KernelPath) {
    #expect(KernelPath.best(of: features) == expected)
  }

  @Test func thisProcessorsPathIsItsBest() {
    let path = KernelPath.ofThisProcessor
    #expect(path.isAvailable)
    #expect(PackedKernels().path == path)
    #expect(PackedKernelTests.available.contains(.portable))
  }

  /// No time is judged here, only that both are measured and belong together: what is packed cannot be faster than registers alone.
  @Test(arguments: PackedKernelTests.available) func speedIsBelowThePeak(_ path: KernelPath) throws {
    guard path != .portable else { return #expect(KernelSpeed.measure(path) == nil) }
    let speed = try #require(KernelSpeed.measure(path))
    #expect(speed.peak > 1e8)
    #expect(speed.packed > 0 && speed.share < 2)
  }
}
